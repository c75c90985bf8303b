"""What this process knows of API keys, so that checking one costs no round trip to the database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from cachetools import FIFOCache, TTLCache

from gateway.services.access.api_keys import PREFIX, ApiKey, KeyStore, parse_key
from gateway.services.access.concurrency import Held, unbounded
from gateway.services.clock import now
from gateway.services.errors import StoreError, StoreUnavailable, Unauthenticated
from gateway.services.principal import Principal

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 1.5
"""How long a key is taken as it was read; a revocation reaches every process within two seconds."""

RENEWAL_SECONDS: Final = 10.0
"""How long other requests go on with what is known while one waits for a database that does not answer."""

GRACE_SECONDS: Final = 300.0
"""How long a key that was good stays good while the database is unavailable: what needs no database works on."""

NOTE_SECONDS: Final = 60.0
MOST_KEYS: Final = 10_000

Clock = Callable[[], float]
Value = TypeVar("Value")


@dataclass(slots=True)
class _Known(Generic[Value]):
    value: Value
    read_at: float
    renew_at: float


class FreshCache(Generic[Value]):
    """What was read lately, by id.

    Only what exists is kept, so that made-up ids cannot push it out.

    Parameters
    ----------
    read : reads one; None where there is none.
    waiting : bounds how many requests read an unknown one at once: trying made-up ids costs others no more than that.
        Of a known one there is a single read at a time.
    """

    def __init__(
        self, read: Callable[[str], Value | None], clock: Clock = time.monotonic, waiting: Held = unbounded
    ) -> None:
        self._read_now = read
        self._waiting = waiting
        self._clock = clock
        self._known: FIFOCache[str, _Known[Value]] = FIFOCache(MOST_KEYS)  # the one read longest ago goes first
        self._changes = 0
        self._lock = threading.Lock()

    def get(self, id_: str) -> Value | None:
        """Return one as it is or was less than `FRESH_SECONDS` ago, or None.

        Raises
        ------
        StoreError, StoreUnavailable
            where nothing is known of it, or nothing that is recent enough.
        """
        at = self._clock()
        with self._lock:
            known = self._known.get(id_)
        if known is None:
            with self._waiting(id_):
                with self._lock:  # another request may have read it meanwhile
                    known = self._known.get(id_)
                return known.value if known else self._read(id_, at)
        if at < known.renew_at:
            return known.value
        # One request asks. The others go on meanwhile, or a database that hangs would hold every thread.
        known.renew_at = min(at + RENEWAL_SECONDS, known.read_at + GRACE_SECONDS)
        try:
            return self._read(id_, at)
        except StoreUnavailable:
            if self._clock() >= known.read_at + GRACE_SECONDS:
                raise
            return known.value

    def forget(self, id_: str) -> None:
        """Read one anew the next time."""
        with self._lock:
            self._changes += 1  # what is being read at this moment may be older than the change
            self._known.pop(id_, None)

    def _read(self, id_: str, at: float) -> Value | None:
        changes = self._changes
        value = self._read_now(id_)
        with self._lock:
            self._known.pop(id_, None)
            if value is not None and changes == self._changes:
                self._known[id_] = _Known(value, at, at + FRESH_SECONDS)
        return value


class KeyCache(FreshCache[ApiKey]):
    """Keys that were read lately."""

    def __init__(self, store: KeyStore, clock: Clock = time.monotonic, waiting: Held = unbounded) -> None:
        super().__init__(lambda key_id: store.get(key_id), clock, waiting)


def in_background(work: Callable[[], None]) -> None:
    """Do the work in a thread that nothing waits for, not even the end of the process."""
    threading.Thread(target=work, daemon=True).start()


class LastUses:
    """Notes when keys were used, at most once a minute for each, and never in the way of a request."""

    def __init__(
        self,
        store: KeyStore,
        later: Callable[[Callable[[], None]], None] = in_background,
        clock: Clock = time.monotonic,
    ) -> None:
        self._store = store
        self._later = later
        self._noted: TTLCache[str, bool] = TTLCache(MOST_KEYS, NOTE_SECONDS, clock)
        self._lock = threading.Lock()

    def note(self, key_id: str) -> None:
        """Note that a key that exists is being used."""
        with self._lock:
            if key_id in self._noted:
                return
            self._noted[key_id] = True
        self._later(partial(self._write, key_id))

    def _write(self, key_id: str) -> None:
        try:
            self._store.used(key_id, now())
        except StoreError as error:
            log.warning("the last use of API key %s could not be noted: %s", key_id, error)


class TokenCheck(Protocol):
    """Bearer tokens of an issuer that this installation trusts."""

    def begin(self) -> None:
        """Get ready in the background, and say in the log if that fails."""

    def principal(self, token: str) -> Principal:
        """Return whom the token names.

        Raises
        ------
        Unauthenticated
            unless it is signed by the issuer, meant for this service and in force.
        IssuerUnavailable, IssuerMisconfigured
            when that cannot be told, because the issuer's keys cannot be had.
        """


class Authentication:
    """Tells who calls. `tokens` is None where no issuer is configured: API keys alone open then."""

    def __init__(
        self,
        keys: KeyCache,
        uses: LastUses,
        tokens: TokenCheck | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._keys = keys
        self._uses = uses
        self._tokens = tokens
        self._clock = clock

    def begin(self) -> None:
        """Get ready for requests."""
        if self._tokens is not None:
            self._tokens.begin()

    def principal(self, credential: str) -> Principal:
        """Return who shows this API key or token.

        Raises
        ------
        Unauthenticated
            whatever is wrong with it, in the same words: the answer never says whether a key exists.
        StoreError, StoreUnavailable, IssuerUnavailable, IssuerMisconfigured
            when that cannot be told.
        """
        if credential.startswith(PREFIX):
            return self._key_holder(credential)
        if self._tokens is not None:
            return self._tokens.principal(credential)
        raise Unauthenticated

    def _key_holder(self, text: str) -> Principal:
        parsed = parse_key(text)
        if parsed is None:
            raise Unauthenticated
        key_id, digest = parsed
        key = self._keys.get(key_id)
        if key is None or not key.opens(digest, self._clock()):
            raise Unauthenticated
        return self._noted(key)

    def key_holder(self, key_id: str, mark: str) -> Principal:
        """Return who has signed in with a key, of which only the id and a mark (`mark_of`) are at hand.

        Raises
        ------
        Unauthenticated
            if it has been revoked, has expired, or the secret with this mark has been rotated away.
        StoreError, StoreUnavailable
        """
        key = self._keys.get(key_id)
        if key is None or mark not in map(mark_of, key.digests(self._clock())):
            raise Unauthenticated
        return self._noted(key)

    def mark(self, key_id: str) -> str:
        """Return the mark of a key's secret.

        Raises
        ------
        Unauthenticated
            if the key is not usable.
        StoreError, StoreUnavailable
        """
        key = self._keys.get(key_id)
        if key is None or not (digests := key.digests(self._clock())):
            raise Unauthenticated
        return mark_of(digests[0])

    def _noted(self, key: ApiKey) -> Principal:
        self._uses.note(key.id)
        return Principal("api_key", key.id, key.name, key.scopes)


def mark_of(digest: bytes) -> str:
    """Return what a secret is known again by in a session; it opens nothing, and nobody finds the secret by it."""
    return digest[:9].hex()


def build_authentication(store: KeyStore, tokens: TokenCheck | None, waiting: Held) -> tuple[Authentication, KeyCache]:
    """Return the authentication on a store of keys, and the cache that must hear of changes to them."""
    cache = KeyCache(store, waiting=waiting)
    return Authentication(cache, LastUses(store), tokens), cache
