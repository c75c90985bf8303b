"""Exports from a real mongod: the rows' contract, writers beside it, and a database that dies midway."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from contracts.rows import CustomerRowsContract, walk
from fakes.gateway import EXPORTS, FakeGateway
from flask import Flask
from pymongo.collection import Collection
from support.customers import becoming, stored
from support.servers import Mongod, running_mongod

from gateway.controllers.exports import BROKEN_OFF
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.services.customers.exports import ExportService
from gateway.services.customers.query import Condition, Op
from gateway.services.errors import StoreUnavailable
from gateway.settings import Settings
from gateway.stores import connect
from shared.features import CUST_ID


class TestRowsOnMongoDB(CustomerRowsContract):
    """The fixture `store` is that of conftest.py."""


@contextlib.contextmanager
def endlessly(change: Callable[[str], object], names: Sequence[str]) -> Iterator[None]:
    """Change one customer after the other in a thread."""
    done = threading.Event()

    def run() -> None:
        for name in itertools.takewhile(lambda _: not done.is_set(), itertools.cycle(names)):
            change(name)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_whoever_stays_comes_exactly_once_while_others_come_go_and_change(store: MongoCustomerStore) -> None:
    staying = [f"S{n:04}" for n in range(1000)]
    passing = [f"{letter}{n:04}" for letter in "PT" for n in range(500)]
    store.insert_many([stored(name) for name in [*staying, *passing]])

    def rewrite(name: str) -> None:
        customer = store.get(name)
        assert customer is not None
        store.update(becoming(customer, stored(name, BALANCE=customer["BALANCE"] + 1)))

    def come_or_go(name: str) -> None:
        if not store.delete(name):
            store.insert(stored(name))

    with endlessly(rewrite, staying[::7]), endlessly(come_or_go, passing):
        for _ in range(5):
            found = Counter(row[0] for row in walk(store, ["BALANCE"], 100))
            assert {name: found[name] for name in staying} == dict.fromkeys(staying, 1)
            assert max(found.values()) == 1
            assert set(found) <= {*staying, *passing}


def test_the_order_is_read_from_an_index(customers: Collection, store: MongoCustomerStore) -> None:
    store.insert_many([stored(f"C{n:03}") for n in range(300)])
    conditions = [(), (Condition("segment", Op.EXISTS, False),), (Condition("BALANCE", Op.GTE, 1.0),)]
    profiled = partial(customers.database.command, "profile")
    profiled(2)
    for each in conditions:
        assert len(walk(store, [], 100, *each)) == 300
    profiled(0)
    queries = list(customers.database["system.profile"].find({"op": "query", "ns": customers.full_name}))
    assert len(queries) == 4 * len(conditions)
    assert not [query for query in queries if query.get("hasSortStage")]
    assert max(query["docsExamined"] for query in queries) == 100


@pytest.fixture
def mortal() -> Iterator[Mongod]:
    """A mongod that only this test uses."""
    with running_mongod() as server:
        yield server


def test_a_database_that_dies_midway_breaks_the_export(mortal: Mongod) -> None:
    settings = Settings(mongodb_uri=mortal.uri("mortal"), mongodb_timeout=0.5, bulk_deadline=0.5)
    customers = connect(Flask("test"), settings)["customers"]
    store = MongoCustomerStore(customers, settings.bulk_deadline)
    store.insert_many([stored(f"C{n:03}") for n in range(50)])
    gateway = FakeGateway(settings=settings, store=store)
    gateway.services.exports._rows = 10
    answer = gateway.client.get(EXPORTS, query_string={"format": "ndjson", "fields": CUST_ID}, buffered=False)
    pieces = answer.iter_encoded()
    read = [next(pieces)]
    mortal.kill()
    with pytest.raises(StoreUnavailable):
        read.extend(pieces)
    answer.close()
    lines = b"".join(read).splitlines()
    assert lines[-1] == BROKEN_OFF
    assert [json.loads(line)[CUST_ID] for line in lines[:-1]] == [f"C{n:03}" for n in range(len(lines) - 1)]
    assert len(lines) - 1 in (10, 20), "the block at hand, and the one that was read ahead"
    assert gateway.client.get(EXPORTS).status_code == 503
    mortal.start()
    customers.database.client.close()
    customers = connect(Flask("test"), settings)["customers"]
    gateway = FakeGateway(settings=settings, store=MongoCustomerStore(customers))
    assert len(gateway.client.get(EXPORTS, query_string={"fields": CUST_ID}).data.splitlines()) == 51
    customers.database.client.close()


def test_an_export_outlives_a_short_absence_of_the_database(mortal: Mongod) -> None:
    settings = Settings(mongodb_uri=mortal.uri("mortal"), mongodb_timeout=2.0, bulk_deadline=20.0)
    customers = connect(Flask("test"), settings)["customers"]
    store = MongoCustomerStore(customers, settings.bulk_deadline)
    store.insert_many([stored(f"C{n:03}") for n in range(50)])
    blocks = ExportService(store, 10).customers((), [CUST_ID])
    seen = [*next(blocks)]
    mortal.kill()
    again = threading.Thread(target=mortal.start)
    again.start()
    for block in blocks:
        seen += block
    again.join()
    assert seen == [[f"C{n:03}"] for n in range(50)]
    customers.database.client.close()
