"""The public keys of an OpenID Connect issuer, fetched seldom, and never in the way of who can do without.

Not with PyJWT's `PyJWKClient` (2.15): it fetches under a lock that every look-up takes, so that an issuer that hangs
would hold requests whose key is known; it pauses only after fetches that succeeded, bounds neither size nor time of an
answer, and binds no key to an algorithm. Around it, discovery, grace and bounded waiting would be this module again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

import orjson
import requests
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from gateway.services.errors import IssuerUnavailable

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

Keys = dict[tuple[str, str], PyJWK]
"""Keys by their id (``kid``) and algorithm."""


class _Fetched(NamedTuple):
    keys: Keys
    at: float


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
        self._fetched = _Fetched({}, float("-inf"))
        self._started_at = float("-inf")
        self._failed = False
        self._fetching: threading.Event | None = None
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def get(self, key_id: str, algorithm: str) -> PyJWK | None:
        """Return a key, or None if the issuer has no such key.

        Raises
        ------
        IssuerUnavailable
            when the key is not known and the issuer cannot be asked.
        """
        if (key := self._known(key_id, algorithm)) is not None:
            if self._age() >= FRESH_SECONDS:
                self._fetch_soon()
            return key
        if (fetch := self._fetch_soon()) is not None:
            self._wait(fetch)
        if (key := self._known(key_id, algorithm)) is None and self._failed:
            raise IssuerUnavailable
        return key

    def _age(self) -> float:
        return self._clock() - self._fetched.at

    def _known(self, key_id: str, algorithm: str) -> PyJWK | None:
        return self._fetched.keys.get((key_id, algorithm)) if self._age() < GRACE_SECONDS else None

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
            keys = _usable(_json(self._where())["keys"], self._algorithms)
            self._fetched, self._failed = _Fetched(keys, self._clock()), False
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            self._failed = True
            log.warning("the keys of the issuer %s cannot be had: %s", self._issuer, error)
        finally:
            with self._lock:
                if self._fetching is done:
                    self._fetching = None
            done.set()

    def _where(self) -> str:
        """Return the address of the keys (OpenID Connect Discovery 1.0, section 4)."""
        if self._jwks_url:
            return self._jwks_url
        found = _json(self._issuer.rstrip("/") + _DISCOVERY)
        if found["issuer"] != self._issuer:
            raise ValueError(f"its discovery document is that of {found['issuer']!r}")
        return str(found["jwks_uri"])


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


def _usable(documents: list[Any], algorithms: Collection[str]) -> Keys:
    """Return those of the keys that can check signatures with one of the algorithms.

    A key is bound to the algorithm that it names, or to those that fit its kind: a token cannot choose another.
    """
    keys: Keys = {}
    for document in documents:
        if not isinstance(document, dict) or not isinstance(document.get("kid"), str) or document.get("use") == "enc":
            continue
        for algorithm in algorithms:
            if document.get("alg", algorithm) == algorithm:
                try:
                    keys[document["kid"], algorithm] = PyJWK(document, algorithm)
                except PyJWTError:  # of another kind than the algorithm's
                    continue
    return keys
