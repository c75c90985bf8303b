"""An OpenID Connect issuer that this installation trusts: its tokens, and people who sign in there."""

from __future__ import annotations

from gateway.data_access.oidc.authorization_code import AuthorizationCode, Client
from gateway.data_access.oidc.bearer_tokens import BearerTokens, Trust
from gateway.data_access.oidc.issuer_keys import IssuerKeys
from gateway.settings import Settings


def trusted_issuer(settings: Settings) -> tuple[BearerTokens | None, AuthorizationCode | None]:
    """Return the check of the issuer's tokens and the way to sign in there; None where that is not configured."""
    issuer, audience, algorithms = settings.oidc_issuer, settings.oidc_audience, settings.oidc_algorithms
    if issuer is None or audience is None:
        return None, None
    keys = IssuerKeys(issuer, settings.oidc_jwks_url, algorithms)
    tokens = BearerTokens(Trust(issuer, audience, algorithms, settings.oidc_scope_prefix), keys)
    if settings.oidc_client_id is None:
        return tokens, None
    client = Client(issuer, settings.oidc_client_id, settings.oidc_scopes, audience, settings.oidc_client_secret)
    return tokens, AuthorizationCode(client, tokens, BearerTokens(Trust(issuer, client.id, algorithms), keys))
