"""The circuit breaker for the database: what opens it, what does not, and that it closes by itself."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from gateway.data_access.mongo import breaker as module
from gateway.data_access.mongo.breaker import CircuitBreaker, breaker_of
from gateway.data_access.mongo.collection import StoreCollection
from gateway.services.errors import StoreUnavailable

AWAY = [ServerSelectionTimeoutError("no primary"), NetworkTimeout("no answer")]
NOT_AWAY = [
    ExecutionTimeout("one slow query", 50),
    AutoReconnect("one connection broke"),
    WaitQueueTimeoutError("busy here"),
    DuplicateKeyError("x"),
    OperationFailure("x"),
    KeyError("x"),
]


class Client:
    """A driver's client whose pings end as the test says."""

    def __init__(self) -> None:
        self.admin = self
        self.error: PyMongoError | None = ServerSelectionTimeoutError("still away")
        self.pinged = threading.Event()

    def command(self, name: str) -> None:
        assert name == "ping"
        self.pinged.set()
        if self.error:
            raise self.error


class Collection:
    """A collection of a client's only database."""

    name = "customers"

    def __init__(self, client: Client) -> None:
        self.database: Any = self
        self.client = client


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.01)
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    return Client()


def _use(collection: StoreCollection, error: Exception | None = None) -> None:
    with collection:
        if error:
            raise error


def _fail(collection: StoreCollection, error: Exception) -> None:
    with pytest.raises(Exception, match=r".*"):
        _use(collection, error)


def _collection(client: Client, **options: Any) -> StoreCollection:
    return StoreCollection(Collection(client), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_one_operation_that_finds_it_away_spares_all_others_the_wait(client: Client, error: Exception) -> None:
    first, second = _collection(client), _collection(client)
    _fail(first, error)
    for collection in (first, second):
        with pytest.raises(StoreUnavailable), collection:
            raise AssertionError("it must not be asked")
    assert client.pinged.wait(10)


@pytest.mark.parametrize("error", NOT_AWAY, ids=lambda error: type(error).__name__)
def test_what_says_nothing_of_the_database_opens_nothing(client: Client, error: Exception) -> None:
    collection = _collection(client)
    _fail(collection, error)
    _use(collection)


def test_one_that_times_out_while_others_succeed_opens_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 3600.0)
    collection = _collection(client)
    _use(collection)
    _fail(collection, AWAY[1])
    _use(collection)


def test_operations_with_little_time_open_nothing_but_are_spared_too(client: Client) -> None:
    hasty, patient = _collection(client, hasty=True), _collection(client)
    _fail(hasty, AWAY[0])
    _use(patient)
    _fail(patient, AWAY[0])
    with pytest.raises(StoreUnavailable):
        _use(hasty)


def test_preparing_a_collection_counts_like_using_it(client: Client) -> None:
    def prepare(*_: object) -> None:
        raise AWAY[0]

    unprepared = StoreCollection(Collection(client), prepare=prepare)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable) as caught:
        _use(unprepared)
    assert caught.value.__cause__ is AWAY[0]
    with pytest.raises(StoreUnavailable):
        _use(_collection(client))


@pytest.mark.parametrize("end", [None, InvalidOperation("closed")], ids=["it answers", "the client is closed"])
def test_it_closes_by_itself(client: Client, end: PyMongoError | None, caplog: pytest.LogCaptureFixture) -> None:
    collection, others = _collection(client), threading.enumerate()
    _fail(collection, AWAY[0])
    assert client.pinged.wait(10)
    client.error = end
    for thread in threading.enumerate():
        if thread.name == "database-probe" and thread not in others:
            thread.join(10)
    _use(collection)
    assert caplog.messages[0].startswith("the database cannot be reached")
    assert caplog.messages[-1] == "the database answers again"


def test_equal_clients_have_breakers_of_their_own_that_go_with_them() -> None:
    class Equal(Client):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    one, other = Equal(), Equal()
    breaker = weakref.ref(breaker_of(one))  # type: ignore[arg-type]
    assert breaker() is breaker_of(one)  # type: ignore[arg-type]
    assert breaker_of(other) is not breaker_of(one)  # type: ignore[arg-type]
    assert isinstance(breaker_of(other), CircuitBreaker)  # type: ignore[arg-type]
    del one
    gc.collect()
    assert breaker() is None
