"""Bearer tokens of an OpenID Connect issuer: JSON Web Tokens (RFC 7519) as access tokens, checked here."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jwt
from cachetools import FIFOCache
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from gateway.data_access.oidc.issuer_keys import IssuerKeys
from gateway.services.errors import Unauthenticated
from gateway.services.principal import Principal, Scope
from gateway.settings import Settings

log = logging.getLogger(__name__)

LEEWAY_SECONDS: Final = 30
"""How far the issuer's clock may be off."""

REMEMBERED_SECONDS: Final = 300.0
"""How long a checked token needs no other check of its signature, which costs as much as the rest of a request."""

MOST_REMEMBERED: Final = 10_000
LONGEST_TOKEN: Final = 8192

_REQUIRED = ["iss", "aud", "exp", "sub"]
_NAMES = ("name", "preferred_username", "email", "client_id")
_SCOPES = {str(scope): scope for scope in Scope}


@dataclass(frozen=True, slots=True)
class Trust:
    """Which tokens hold: those of `issuer` for `audience`, signed with one of `algorithms`.

    Scopes count with `scope_prefix` before them, and not without it.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    scope_prefix: str = ""


class _Checked(NamedTuple):
    principal: Principal
    until: float


class BearerTokens:
    """The `TokenCheck` port on an issuer's keys."""

    def __init__(self, trust: Trust, keys: IssuerKeys, clock: Callable[[], float] = time.time) -> None:
        self._trust = trust
        self._keys = keys
        self._clock = clock
        self._checked: FIFOCache[bytes, _Checked] = FIFOCache(MOST_REMEMBERED)
        self._lock = threading.Lock()

    def principal(self, token: str) -> Principal:
        """Return whom the token names.

        Raises
        ------
        Unauthenticated
            unless it is signed by the issuer, meant for this service and in force.
        IssuerUnavailable
            when that cannot be told, because the issuer's keys cannot be had.
        """
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated
        # By its digest: a dump of this process's memory is no list of valid tokens.
        digest = hashlib.sha256(token.encode()).digest()
        with self._lock:
            known = self._checked.get(digest)
        if known is not None and self._clock() < known.until:
            return known.principal
        claims = self._claims(token)
        principal = Principal("token", claims["sub"], _name(claims), _scopes(claims, self._trust.scope_prefix))
        self._remember(digest, principal, int(claims["exp"]))
        return principal

    def _claims(self, token: str) -> dict[str, Any]:
        """Return what a token says that holds."""
        try:
            key = self._key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._trust.audience,
                issuer=self._trust.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
            if not claims["sub"]:
                raise jwt.InvalidTokenError("sub is empty")
        except (PyJWTError, RecursionError) as error:  # JSON that is nested deeper than Python can read
            log.info("a bearer token was refused: %s", error)
            raise Unauthenticated from error
        return claims

    def _key(self, header: Mapping[str, Any]) -> PyJWK:
        key_id, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._trust.algorithms or not isinstance(key_id, str):
            raise jwt.InvalidAlgorithmError("the algorithm is not accepted, or the token names no key")
        key = self._keys.get(key_id, str(algorithm))
        if key is None:
            raise jwt.InvalidKeyError("the issuer has no such key")
        return key

    def _remember(self, digest: bytes, principal: Principal, expires_at: float) -> None:
        until = min(expires_at + LEEWAY_SECONDS, self._clock() + REMEMBERED_SECONDS)
        with self._lock:
            self._checked[digest] = _Checked(principal, until)


def trusted_tokens(settings: Settings) -> BearerTokens | None:
    """Return the check of bearer tokens, or None where no issuer is configured."""
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    algorithms = settings.oidc_algorithms
    trust = Trust(settings.oidc_issuer, settings.oidc_audience, algorithms, settings.oidc_scope_prefix)
    return BearerTokens(trust, IssuerKeys(settings.oidc_issuer, settings.oidc_jwks_url, algorithms))


def _name(claims: Mapping[str, Any]) -> str:
    """Return what people call the token's subject."""
    return next((claims[name] for name in _NAMES if isinstance(claims.get(name), str)), str(claims["sub"]))


def _scopes(claims: Mapping[str, Any], prefix: str) -> frozenset[Scope]:
    """Return the scopes that a token gives.

    ``scope`` is a text with blanks between (RFC 9068 section 2.2.3); some issuers say ``scp``, as a text or a list.
    """
    claim = claims.get("scope", claims.get("scp", ""))
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    given = (word.removeprefix(prefix) for word in words if isinstance(word, str) and word.startswith(prefix))
    return frozenset(_SCOPES[word] for word in given if word in _SCOPES)
