"""People who sign in at the issuer: the `Issuer` port through Authlib."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from cachetools import TTLCache, cachedmethod

from gateway.data_access.oidc.bearer_tokens import BearerTokens
from gateway.data_access.oidc.issuer_keys import AnotherIssuer, discovered
from gateway.services.access.issuer_sign_in import Attempt
from gateway.services.errors import IssuerMisconfigured, IssuerUnavailable, Unauthenticated
from gateway.services.principal import Principal

log = logging.getLogger(__name__)

KNOWN_SECONDS: Final = 300.0
"""How long the issuer's addresses are taken as they were read."""

TIMEOUT: Final = 5.0
MOST_ASKING: Final = 4
"""Requests that may ask the issuer at the same time: one that hangs must not hold every thread."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_REFUSED_CODE = "invalid_grant"
_BASIC, _POST = "client_secret_basic", "client_secret_post"


@dataclass(frozen=True, slots=True)
class Client:
    """What this installation is to the issuer; `secret` is None for a public client.

    `audience` is for whom the access token has to be: this service.
    """

    issuer: str
    id: str
    scope: str
    audience: str
    secret: str | None = field(default=None, repr=False)


class AuthorizationCode:
    """The `Issuer` port: who it is, and what they may do, is what the access token says.

    So the same holds for a person at a browser and for a program that shows such a token itself. The ID token shows
    that the answer was made for this attempt.

    Parameters
    ----------
    access_tokens, id_tokens : check tokens for this service, and for this client.
    """

    def __init__(self, client: Client, access_tokens: BearerTokens, id_tokens: BearerTokens) -> None:
        self._client = client
        self._access_tokens = access_tokens
        self._id_tokens = id_tokens
        self._known: TTLCache[Any, dict[str, Any]] = TTLCache(1, KNOWN_SECONDS)
        self._lock = threading.Lock()
        self._asking = threading.BoundedSemaphore(MOST_ASKING)

    def address(self, attempt: Attempt) -> str:
        with self._asked() as said, self._session(said, attempt) as session:
            address, _ = session.create_authorization_url(
                said["authorization_endpoint"],
                state=attempt.state,
                code_verifier=attempt.verifier,
                nonce=attempt.nonce,
                audience=self._client.audience,  # some issuers make tokens for a service only where it is named
            )
        return str(address)

    def principal(self, attempt: Attempt, code: str, said_issuer: str | None) -> Principal:
        if said_issuer not in (None, self._client.issuer):
            raise Unauthenticated
        with self._asked() as said, self._session(said, attempt) as session:
            tokens = session.fetch_token(
                said["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
                redirect_uri=attempt.callback,
                allow_redirects=False,
            )
            access_token, id_token = tokens.get("access_token"), tokens.get("id_token")
        if not (isinstance(access_token, str) and isinstance(id_token, str)):
            log.error("the issuer answers without an access token or ID token: OIDC_SCOPES must have openid in it")
            raise IssuerMisconfigured
        claims = self._id_tokens.claims(id_token)
        if claims.get("nonce") != attempt.nonce or claims.get("azp", self._client.id) != self._client.id:
            raise Unauthenticated
        return self._access_tokens.principal(access_token)

    def _session(self, said: dict[str, Any], attempt: Attempt) -> OAuth2Session:
        methods = said.get("token_endpoint_auth_methods_supported") or [_BASIC]
        with_secret = _BASIC if _BASIC in methods else _POST
        return OAuth2Session(
            self._client.id,
            self._client.secret,
            token_endpoint_auth_method=with_secret if self._client.secret else "none",
            scope=self._client.scope,
            redirect_uri=attempt.callback,
            code_challenge_method="S256",
            default_timeout=TIMEOUT,
        )

    @contextmanager
    def _asked(self) -> Iterator[dict[str, Any]]:
        """Give what the issuer says of itself; what goes wrong with it becomes the port's errors.

        Nothing of an answer is logged but an error's code: all else may hold a code or a token.
        """
        if not self._asking.acquire(blocking=False):
            raise IssuerUnavailable
        try:
            yield self._discovered()
        except AnotherIssuer as error:
            log.error(
                "OIDC_ISSUER is wrong, so that nobody can sign in there: it is %r, %s", self._client.issuer, error
            )
            raise IssuerMisconfigured from error
        except OAuthError as error:
            if error.error == _REFUSED_CODE:
                raise Unauthenticated from None
            log.error("the issuer %s refuses OIDC_CLIENT_ID or its secret: %.40r", self._client.issuer, error.error)
            raise IssuerMisconfigured from None
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            log.warning("nobody can sign in at the issuer %s: %s", self._client.issuer, type(error).__name__)
            raise IssuerUnavailable from None
        finally:
            self._asking.release()

    @cachedmethod(lambda self: self._known, lock=lambda self: self._lock)
    def _discovered(self) -> dict[str, Any]:
        said = discovered(self._client.issuer)
        for name in ("authorization_endpoint", "token_endpoint"):
            url = urlsplit(said[name])
            if url.scheme != "https" and url.hostname not in _LOOPBACK:
                raise ValueError(f"{name} is not reached over TLS")
        return said
