"""The public keys of an OpenID Connect issuer, fetched seldom, and never in the way of who can do without.

Not with PyJWT's `PyJWKClient` (2.15): it fetches under a lock that every look-up takes, so that an issuer that hangs
would hold requests whose key is known; it pauses only after fetches that succeeded, bounds neither size nor time of an
answer, and binds no key to an algorithm. Around it, discovery, grace and bounded waiting would be this module again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import orjson
import requests
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from gateway.services.errors import IssuerMisconfigured, IssuerUnavailable

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 300.0
"""After that the keys are fetched again: one that the issuer has withdrawn must not open for long."""

PAUSE_SECONDS: Final = 10.0
"""Least time between two fetches, whatever tokens come; an unknown key is looked for this often at most."""

FETCH_TIMEOUT: Final = 60.0
"""After that a fetch that has not ended is given up: a server can send a byte at a time for ever."""

GRACE_SECONDS: Final = 24 * 3600.0
"""How long known keys hold while the issuer is unavailable."""

WAIT_SECONDS: Final = 3.0
"""Longest wait of a request for a fetch."""

MOST_WAITING: Final = 2
"""Requests that may wait at the same time: an issuer that hangs must not hold every thread."""

_TIMEOUTS = (2.0, 5.0)
_MAX_BYTES = 1024 * 1024
_DISCOVERY = "/.well-known/openid-configuration"

_CURVES = {"ES256": "P-256", "ES384": "P-384"}
"""The curve that an algorithm demands of a key (RFC 7518 section 3.4); PyJWT takes any."""


class KeySet:
    """The keys of a JSON Web Key Set (RFC 7517) that can check signatures with one of some algorithms.

    A key is bound to the algorithm that it names, or to those that fit its kind: a token cannot choose another.
    """

    def __init__(self, documents: Sequence[Any] = (), algorithms: Collection[str] = ()) -> None:
        self._named: dict[tuple[str, str], PyJWK] = {}
        self._fitting: dict[str, list[PyJWK]] = {}
        for document in filter(_may_verify, documents):
            for algorithm in algorithms:
                if (key := _bound(document, algorithm)) is None:
                    continue
                self._fitting.setdefault(algorithm, []).append(key)
                if key.key_id is not None:
                    self._named[key.key_id, algorithm] = key

    def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """Return the key of this id (``kid``).

        Ids are optional (RFC 7515 section 4.1.4, RFC 7517 section 4.5): a token without one, or a key without one, is
        taken for the other where there is no choice. Among several keys, an id must tell (OpenID Connect Core 10.1).
        """
        if key_id is not None and (named := self._named.get((key_id, algorithm))) is not None:
            return named
        fitting = self._fitting.get(algorithm, [])
        return fitting[0] if len(fitting) == 1 and None in (key_id, fitting[0].key_id) else None


def _may_verify(document: Any) -> bool:
    """Whether a member of a key set is meant for signatures, and has an id that is a text or none."""
    if not isinstance(document, dict) or document.get("use", "sig") != "sig":
        return False
    operations = document.get("key_ops", ["verify"])
    return isinstance(document.get("kid", ""), str) and isinstance(operations, list) and "verify" in operations


def _bound(document: dict[str, Any], algorithm: str) -> PyJWK | None:
    """Return the key for signatures with the algorithm, or None if it is for others."""
    if document.get("alg", algorithm) != algorithm:
        return None
    if algorithm in _CURVES and document.get("crv") != _CURVES[algorithm]:
        return None
    try:
        return PyJWK(document, algorithm)
    except (PyJWTError, ValueError, TypeError):  # of another kind than the algorithm's, or damaged
        return None


class _Fetched(NamedTuple):
    keys: KeySet
    at: float


class AnotherIssuer(ValueError):
    """What is at the issuer's address calls itself something else."""


class IssuerKeys:
    """The keys with which an issuer signs tokens.

    Parameters
    ----------
    issuer : its address, which is its name as well.
    jwks_url : where its keys are; where its discovery document says if None.
    algorithms : those that are accepted; every other key is left out.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None,
        algorithms: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._algorithms = tuple(algorithms)
        self._clock = clock
        self._fetched = _Fetched(KeySet(), float("-inf"))
        self._started_at = float("-inf")
        self._failure: type[IssuerUnavailable | IssuerMisconfigured] | None = None
        self._fetching: threading.Event | None = None
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def begin(self) -> None:
        """Fetch the keys in the background, so that the log says at the start what is wrong with the settings."""
        self._fetch_soon()

    def get(self, key_id: str | None, algorithm: str, failed: PyJWK | None = None) -> PyJWK | None:
        """Return a key, or None if the issuer has no such key; see `KeySet.find`.

        Parameters
        ----------
        failed : the key that was returned before and fits no more; there may be another by now.

        Raises
        ------
        IssuerUnavailable, IssuerMisconfigured
            when the key is not known and the issuer cannot be asked.
        """
        if (key := self._known(key_id, algorithm)) is not None and key is not failed:
            if self._age() >= FRESH_SECONDS:
                self._fetch_soon()
            return key
        if (fetch := self._fetch_soon()) is not None:
            self._wait(fetch)
        if (key := self._known(key_id, algorithm)) is None and self._failure:
            raise self._failure
        return key

    def _age(self) -> float:
        return self._clock() - self._fetched.at

    def _known(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        return self._fetched.keys.find(key_id, algorithm) if self._age() < GRACE_SECONDS else None

    def _wait(self, fetch: threading.Event) -> None:
        if not self._waiting.acquire(blocking=False):
            raise IssuerUnavailable
        try:
            if not fetch.wait(WAIT_SECONDS):
                raise IssuerUnavailable
        finally:
            self._waiting.release()

    def _fetch_soon(self) -> threading.Event | None:
        """Start a fetch unless one runs or has just ended; return the one that runs."""
        with self._lock:
            pause = PAUSE_SECONDS if self._fetching is None else FETCH_TIMEOUT
            if self._clock() - self._started_at >= pause:
                self._started_at = self._clock()
                self._fetching = threading.Event()
                # In a thread: whoever can do without goes on, and whoever cannot waits only so long.
                threading.Thread(target=self._fetch, args=(self._fetching,), daemon=True).start()
            return self._fetching

    def _fetch(self, done: threading.Event) -> None:
        try:
            keys = KeySet(_json(self._where())["keys"], self._algorithms)
            self._fetched, self._failure = _Fetched(keys, self._clock()), None
        except AnotherIssuer as error:
            self._failure = IssuerMisconfigured
            log.error("OIDC_ISSUER is wrong, so that no bearer token can be checked: it is %r, %s", self._issuer, error)
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            self._failure = IssuerUnavailable
            log.warning("the keys of the issuer %s cannot be had: %s", self._issuer, str(error))  # of the issuer alone
        finally:
            with self._lock:
                if self._fetching is done:
                    self._fetching = None
            done.set()

    def _where(self) -> str:
        return self._jwks_url or str(discovered(self._issuer)["jwks_uri"])


def discovered(issuer: str) -> dict[str, Any]:
    """Return what an issuer says of itself (OpenID Connect Discovery 1.0, section 4).

    Raises
    ------
    AnotherIssuer
        if it has another name there.
    requests.RequestException, ValueError, KeyError, TypeError
        if it cannot be had.
    """
    found = _json(issuer.rstrip("/") + _DISCOVERY)
    name = found["issuer"]
    if not isinstance(name, str):
        raise TypeError("its discovery document names no issuer")
    if name != issuer:  # to the letter (section 4.3); a token says the same name
        raise AnotherIssuer(f"and the discovery document at that address is that of {name!r}")
    return found


def _json(url: str) -> dict[str, Any]:
    with requests.get(url, timeout=_TIMEOUTS, stream=True, allow_redirects=False) as answer:
        if answer.status_code != 200:
            raise ValueError(f"{url} answers {answer.status_code}")
        body = b""
        for piece in answer.iter_content(64 * 1024):
            body += piece
            if len(body) > _MAX_BYTES:
                raise ValueError(f"{url} answers more than {_MAX_BYTES} bytes")
    found = orjson.loads(body)
    if not isinstance(found, dict):
        raise TypeError(f"{url} answers no object")
    return found
