"""What a process knows of API keys: how long it holds, and that nobody waits for a database that is away."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from fakes.api_keys import ADMIN_KEY, InMemoryKeyStore, key_of

from gateway.services.access import authentication as key_cache
from gateway.services.access.api_keys import ApiKey
from gateway.services.access.authentication import (
    FRESH_SECONDS,
    GRACE_SECONDS,
    NOTE_SECONDS,
    RENEWAL_SECONDS,
    KeyCache,
    LastUses,
)
from gateway.services.errors import StoreUnavailable
from gateway.services.principal import Scope

ID = "AdminAdmin01"
AWAY = StoreUnavailable("away")


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> InMemoryKeyStore:
    return InMemoryKeyStore()


@pytest.fixture
def cache(keys: InMemoryKeyStore, clock: Clock) -> KeyCache:
    return KeyCache(keys, clock)


class TestKeyCache:
    def test_reads_a_key_once_in_a_while(self, cache: KeyCache, keys: InMemoryKeyStore, clock: Clock) -> None:
        for _ in range(5):
            assert cache.get(ID) == keys.keys[ID]
        assert keys.reads == 1
        clock.at += FRESH_SECONDS
        assert cache.get(ID) == keys.keys[ID]
        assert keys.reads == 2

    def test_sees_a_change_within_two_seconds(self, cache: KeyCache, keys: InMemoryKeyStore, clock: Clock) -> None:
        cache.get(ID)
        keys.revoke(ID, keys.keys[ID].created_at)
        clock.at += 2
        assert cache.get(ID) == keys.keys[ID]

    def test_sees_a_change_that_it_is_told_of_at_once(self, cache: KeyCache, keys: InMemoryKeyStore) -> None:
        cache.get(ID)
        keys.revoke(ID, keys.keys[ID].created_at)
        cache.forget(ID)
        assert cache.get(ID) == keys.keys[ID]

    def test_does_not_keep_what_was_read_before_a_change(self, keys: InMemoryKeyStore, clock: Clock) -> None:
        class Slow(InMemoryKeyStore):
            def get(self, key_id: str) -> ApiKey | None:
                found = keys.get(key_id)
                if found and found.revoked_at is None:  # another thread revokes while this one reads
                    keys.revoke(key_id, found.created_at)
                    cache.forget(key_id)
                return found

        cache = KeyCache(Slow(), clock)
        cache.get(ID)
        assert cache.get(ID) == keys.keys[ID]

    def test_forgets_keys_that_are_gone(self, cache: KeyCache, keys: InMemoryKeyStore, clock: Clock) -> None:
        cache.get(ID)
        keys.keys.clear()
        clock.at += FRESH_SECONDS
        assert cache.get(ID) is None

    def test_is_not_flushed_by_unknown_keys(self, keys: InMemoryKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(key_cache, "MOST_KEYS", 3)
        cache = KeyCache(keys)
        cache.get(ID)
        for number in range(10):
            assert cache.get(f"unknown{number}") is None
        reads = keys.reads
        cache.get(ID)
        assert keys.reads == reads

    def test_is_bounded(self, keys: InMemoryKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(key_cache, "MOST_KEYS", 3)
        cache = KeyCache(keys)
        for number in range(5):
            keys.insert(replace(keys.keys[ID], id=f"key{number}"))
            cache.get(f"key{number}")
        reads = keys.reads
        for number in (4, 3, 2):
            cache.get(f"key{number}")
        assert keys.reads == reads
        cache.get("key0")
        assert keys.reads == reads + 1


class TestWithoutADatabase:
    def test_an_unknown_key_cannot_be_judged(self, cache: KeyCache, keys: InMemoryKeyStore) -> None:
        keys.failure = AWAY
        with pytest.raises(StoreUnavailable):
            cache.get(ID)

    def test_a_known_key_stays_good_for_a_while(self, cache: KeyCache, keys: InMemoryKeyStore, clock: Clock) -> None:
        cache.get(ID)
        keys.failure = AWAY
        for _ in range(int((GRACE_SECONDS - 1) // FRESH_SECONDS)):
            clock.at += FRESH_SECONDS
            assert cache.get(ID) == keys.keys[ID]
        clock.at += FRESH_SECONDS + 1
        with pytest.raises(StoreUnavailable):
            cache.get(ID)
        keys.failure = None
        assert cache.get(ID) == keys.keys[ID]

    def test_one_request_waits_for_it_and_the_others_go_on(self, keys: InMemoryKeyStore, clock: Clock) -> None:
        asked: list[str] = []

        class Hanging(InMemoryKeyStore):
            def get(self, key_id: str) -> ApiKey | None:
                asked.append(key_id)
                if len(asked) > 1:
                    assert cache.get(ID) == keys.keys[ID]  # another request, while this one waits
                    clock.at += 5
                    raise AWAY
                return keys.get(key_id)

        cache = KeyCache(Hanging(), clock)
        cache.get(ID)
        clock.at += FRESH_SECONDS
        cache.get(ID)
        assert len(asked) == 2
        clock.at += RENEWAL_SECONDS - 5.1
        cache.get(ID)
        assert len(asked) == 2
        clock.at += 0.2
        cache.get(ID)
        assert len(asked) == 3


class TestLastUses:
    def test_are_written_once_a_minute(self, keys: InMemoryKeyStore, clock: Clock) -> None:
        later: list[Callable[[], None]] = []
        uses = LastUses(keys, later.append, clock)
        for _ in range(3):
            uses.note(ID)
            uses.note("another")
        assert len(later) == 2
        assert keys.keys[ID].last_used_at is None
        later[0]()
        assert keys.keys[ID].last_used_at is not None
        clock.at += NOTE_SECONDS
        uses.note(ID)
        assert len(later) == 3

    def test_that_cannot_be_written_are_logged(
        self, keys: InMemoryKeyStore, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        keys.failure = AWAY
        LastUses(keys, lambda work: work(), clock).note(ID)
        assert "the last use of API key AdminAdmin01 could not be noted: away" in caplog.text

    def test_are_written_in_the_background(self) -> None:
        written: queue.Queue[str] = queue.Queue()

        class Waiting(InMemoryKeyStore):
            def used(self, key_id: str, at: datetime) -> None:
                written.put(threading.current_thread().name)

        LastUses(Waiting()).note(ID)
        assert written.get(timeout=10) != threading.current_thread().name


def test_the_fakes_key_is_one() -> None:
    assert key_of(ADMIN_KEY, [Scope.ADMIN]).id == ID
