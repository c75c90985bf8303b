"""The audit trail and the idempotency keys on a real mongod."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pymongo.errors
import pytest
from contracts.audit import ALL, AuditTrailContract, entries
from contracts.idempotency import AT, LEASE, IdempotencyStoreContract, claim
from fakes.gateway import CUSTOMERS, FakeGateway
from flask import Flask
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect
from support.customers import body
from support.servers import Mongod, running_mongod

from gateway.data_access.mongo.audit import MongoAuditTrail
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.idempotency import MongoIdempotencyStore
from gateway.development import mongod as development
from gateway.services.access.idempotency import StoredResponse
from gateway.services.errors import StoreError, StoreUnavailable
from gateway.settings import Settings
from gateway.stores import connect

Documents = Collection[dict[str, Any]]


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def audit(customers: Collection) -> Documents:
    """The test's collection of the audit trail."""
    return customers.database["audit"]


@pytest.fixture
def idempotency(customers: Collection) -> Documents:
    """The test's collection of idempotency keys."""
    return customers.database["idempotency"]


class TestMongoAuditTrail(AuditTrailContract):
    @pytest.fixture
    def trail(self, audit: Documents) -> MongoAuditTrail:
        return MongoAuditTrail(audit)


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


@pytest.fixture(scope="module")
def own_mongod() -> Iterator[Mongod]:
    """A mongod that only the tests of this module use: they kill it."""
    with running_mongod() as server:
        yield server


@pytest.fixture
def own_database(own_mongod: Mongod) -> Iterator[Database[dict[str, Any]]]:
    """A database on it, connected as the gateway connects."""
    uri = own_mongod.uri(f"test_{uuid.uuid4().hex}")
    database = connect(Flask("test"), Settings(mongodb_uri=uri, mongodb_timeout=30.0))
    yield database
    database.client.close()


def test_the_term_changes_with_an_election_and_only_then(
    own_database: Database[dict[str, Any]], own_mongod: Mongod
) -> None:
    trail = MongoAuditTrail(own_database["audit"])
    trail.record(entries("A"), durably=True)
    before = trail.term()
    trail.record(entries("B"), durably=False)
    assert before is not None
    assert trail.term() == before
    with MongoClient("127.0.0.1", own_mongod.port, directConnection=True) as direct:
        with contextlib.suppress(AutoReconnect):  # some versions close the connection when they step down
            direct.admin.command("replSetStepDown", 600, force=True)
        direct.admin.command("replSetFreeze", 0)
    development.wait_for_primary(own_mongod.port)
    trail.record(entries("C"), durably=False)
    assert trail.term() != before


def test_an_entry_outlives_a_killed_mongod_if_its_change_does(
    own_database: Database[dict[str, Any]], own_mongod: Mongod
) -> None:
    store, trail = MongoCustomerStore(own_database["customers"]), MongoAuditTrail(own_database["audit"])
    gateway = FakeGateway(store=store, audit=trail)
    names = [f"C{number}" for number in range(30)]
    for name in names:
        assert gateway.client.post(CUSTOMERS, json=body(name)).status_code == 201
    own_mongod.kill()
    own_mongod.start()
    assert sorted(entry["subject"]["id"] or "" for entry in trail.page(ALL, None, 100)) == sorted(names)
    assert own_database["customers"].count_documents({}) == len(names)


class RaisingCollection:
    """A collection whose every use raises one error of the driver."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.database = SimpleNamespace(client=self)  # no less than a store needs to be made

    def with_options(self, **_: object) -> RaisingCollection:
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise self._error


TRAIL_CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "record": ((entries("A"),), {"durably": True}),
    "withdraw": ((["x"],), {}),
    "page": ((ALL, None, 1), {}),
    "erase": (("A",), {}),
}
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


@pytest.mark.parametrize("name", TRAIL_CALLS)
@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda e: getattr(e, "__name__", None))
def test_every_driver_error_of_the_trail_becomes_one_of_the_stores(
    name: str, error: Exception, kind: type[StoreError]
) -> None:
    trail = MongoAuditTrail(RaisingCollection(error))  # type: ignore[arg-type]
    arguments, options = TRAIL_CALLS[name]
    with pytest.raises(StoreError) as caught:
        getattr(trail, name)(*arguments, **options)
    assert type(caught.value) is kind


@pytest.mark.parametrize("name", KEY_CALLS)
@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=lambda e: getattr(e, "__name__", None))
def test_every_driver_error_of_the_keys_becomes_one_of_the_stores(
    name: str, error: Exception, kind: type[StoreError]
) -> None:
    keys = MongoIdempotencyStore(RaisingCollection(error))  # type: ignore[arg-type]
    with pytest.raises(StoreError) as caught:
        getattr(keys, name)(*KEY_CALLS[name])
    assert type(caught.value) is kind
