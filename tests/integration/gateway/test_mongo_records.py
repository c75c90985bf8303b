"""The idempotency keys on a real mongod."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pymongo.errors
import pytest
from contracts.idempotency import AT, LEASE, IdempotencyStoreContract, claim
from pymongo.collection import Collection

from gateway.data_access.mongo.access.idempotency import MongoIdempotencyStore
from gateway.services.access.idempotency import StoredResponse
from gateway.services.errors import StoreError, StoreUnavailable

Documents = Collection[dict[str, Any]]


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def idempotency(customers: Collection) -> Documents:
    """The test's collection of idempotency keys."""
    return customers.database["idempotency"]


class TestMongoIdempotencyStore(IdempotencyStoreContract):
    @pytest.fixture
    def keys(self, idempotency: Documents) -> MongoIdempotencyStore:
        return MongoIdempotencyStore(idempotency)


def test_idempotency_keys_say_when_they_expire(idempotency: Documents) -> None:
    MongoIdempotencyStore(idempotency).claim(claim())
    (stored,) = idempotency.find()
    assert stored["expires_at"] == AT + timedelta(days=1)


@pytest.mark.parametrize("taken_over", [False, True])
def test_of_twenty_claims_of_one_key_one_succeeds(idempotency: Documents, taken_over: bool) -> None:
    store = MongoIdempotencyStore(idempotency)
    if taken_over:
        store.claim(claim("first", at=AT - LEASE))
    start = Barrier(20)

    def run(number: int) -> str:
        start.wait()
        return store.claim(claim(f"attempt {number}")).attempt

    with ThreadPoolExecutor(20) as threads:
        holders = list(threads.map(run, range(20)))
    assert len(set(holders)) == 1
    assert holders[0].startswith("attempt")


class RaisingCollection:
    """A collection whose every use raises one error of the driver."""

    name = "broken"

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.database = SimpleNamespace(client=self)  # no less than a store needs to be made

    def with_options(self, **_: object) -> RaisingCollection:
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise self._error


KEY_CALLS: dict[str, tuple[Any, ...]] = {
    "claim": (claim(),),
    "finish": ("k", "one", StoredResponse(200, {}, None)),
    "break_off": ("k", "one", AT),
    "release": ("k", "one"),
    "erase": ("A",),
}
ERRORS = [
    (pymongo.errors.AutoReconnect("something"), StoreUnavailable),
    (pymongo.errors.OperationFailure("something", 13), StoreError),
]


@pytest.mark.parametrize("name", KEY_CALLS)
@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda e: getattr(e, "__name__", None))
def test_every_driver_error_of_the_keys_becomes_one_of_the_stores(
    name: str, error: Exception, kind: type[StoreError]
) -> None:
    keys = MongoIdempotencyStore(RaisingCollection(error))  # type: ignore[arg-type]
    with pytest.raises(StoreError) as caught:
        getattr(keys, name)(*KEY_CALLS[name])
    assert type(caught.value) is kind
