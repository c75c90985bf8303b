"""Bearer tokens of an OpenID Connect issuer: JSON Web Tokens (RFC 7519) as access tokens, checked here."""

from __future__ import annotations

import hashlib
import logging
import re
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
from gateway.services.errors import IssuerMisconfigured, IssuerUnavailable, Unauthenticated
from gateway.services.principal import Principal, Scope

log = logging.getLogger(__name__)

LEEWAY_SECONDS: Final = 30
"""How far the issuer's clock may be off."""

REMEMBERED_SECONDS: Final = 300.0
"""How long a checked token needs no other check of its signature, which costs as much as the rest of a request."""

MOST_REMEMBERED: Final = 10_000
LONGEST_TOKEN: Final = 8192

LONGEST_SUBJECT: Final = 255
"""Characters of a subject (OpenID Connect Core section 2)."""

LONGEST_NAME: Final = 200
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_unfit = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
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
        IssuerUnavailable, IssuerMisconfigured
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
        claims = self.claims(token)
        principal = Principal("token", claims["sub"], _name(claims), _scopes(claims, self._trust.scope_prefix))
        self._remember(digest, principal, int(claims["exp"]))
        return principal

    def begin(self) -> None:
        self._keys.begin()

    def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says that holds; raises what `principal` does."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(header)
            try:
                claims = self._verified(token, key)
            except jwt.InvalidSignatureError:
                claims = self._verified(token, self._successor(header, key))
            _refuse_subject(claims["sub"])
        except (PyJWTError, RecursionError) as error:  # JSON that is nested deeper than Python can read
            log.info("a bearer token was refused: %s", type(error).__name__)  # its text may quote the token
            if isinstance(error, jwt.InvalidIssuerError):
                self._compare_issuers(token)
            raise Unauthenticated from error
        return claims

    def _verified(self, token: str, key: PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=self._trust.audience,
            issuer=self._trust.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED, "enforce_minimum_key_length": True},
        )

    def _key(self, header: Mapping[str, Any], failed: PyJWK | None = None) -> PyJWK:
        algorithm = header.get("alg")
        if algorithm not in self._trust.algorithms:
            raise jwt.InvalidAlgorithmError("the algorithm is not accepted")
        key = self._keys.get(header.get("kid"), str(algorithm), failed)
        if key is None:
            raise jwt.InvalidKeyError("the issuer has no such key, or several that it could be")
        return key

    def _successor(self, header: Mapping[str, Any], failed: PyJWK) -> PyJWK:
        """Return what may have taken the place of a key that was found without an id: no new id tells of it.

        Raises
        ------
        jwt.InvalidSignatureError
        """
        if header.get("kid") is None or failed.key_id is None:
            try:
                if (key := self._key(header, failed)) is not failed:
                    return key
            except (IssuerUnavailable, IssuerMisconfigured) as error:
                log.info("whether the issuer has another key cannot be told: %s", error)
        raise jwt.InvalidSignatureError("the signature is not that of the issuer's key")

    def _compare_issuers(self, token: str) -> None:
        """Say in the log if a token that the issuer signed names it with a slash too many or too few."""
        name = jwt.decode(token, options={"verify_signature": False}).get("iss")
        if isinstance(name, str) and name.rstrip("/") == self._trust.issuer.rstrip("/"):
            log.warning("OIDC_ISSUER is %r, and the issuer's tokens say %r: the slash counts", self._trust.issuer, name)

    def _remember(self, digest: bytes, principal: Principal, expires_at: float) -> None:
        until = min(expires_at + LEEWAY_SECONDS, self._clock() + REMEMBERED_SECONDS)
        with self._lock:
            self._checked[digest] = _Checked(principal, until)


def _refuse_subject(subject: str) -> None:
    """Refuse what cannot stand for a caller wherever one is written down.

    Half of a surrogate pair has no meaning (RFC 8259 section 8.2) and no form in UTF-8. Nothing is put in its place:
    two callers must not become one.

    Raises
    ------
    jwt.InvalidTokenError
    """
    if not 1 <= len(subject) <= LONGEST_SUBJECT or _unfit.search(subject):
        raise jwt.InvalidTokenError(
            f"sub is not a text of 1 to {LONGEST_SUBJECT} characters without control characters and lone surrogates"
        )


def _name(claims: Mapping[str, Any]) -> str:
    """Return what people call the token's subject; what cannot be written in a name is replaced, as names only show."""
    for claim in _NAMES:
        said = claims.get(claim)
        if isinstance(said, str) and (name := _unfit.sub(REPLACEMENT, said.strip())[:LONGEST_NAME].strip()):
            return name
    return str(claims["sub"])


def _scopes(claims: Mapping[str, Any], prefix: str) -> frozenset[Scope]:
    """Return the scopes that a token gives.

    ``scope`` is a text with blanks between (RFC 9068 section 2.2.3); some issuers say ``scp``, as a text or a list,
    and leave ``scope`` empty.
    """
    words = _words(claims.get("scope")) or _words(claims.get("scp"))
    given = (word.removeprefix(prefix) for word in words if isinstance(word, str) and word.startswith(prefix))
    return frozenset(_SCOPES[word] for word in given if word in _SCOPES)


def _words(claim: object) -> list[Any]:
    return claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
