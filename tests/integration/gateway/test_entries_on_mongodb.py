"""What customers tell, on a real mongod: while a relay moves it, nothing is lost, nothing comes back."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from fakes.gateway import FakeGateway
from pymongo.collection import Collection
from support.customers import inputs

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.deletions import MongoDeletedCustomers
from gateway.data_access.mongo.events.changes import MongoChangeLog
from gateway.data_access.mongo.events.outboxes import MongoOutboxes
from gateway.services.customers import customers as customers_module
from gateway.services.errors import SegmentationError
from gateway.services.events.change import Logged
from gateway.services.events.log import AuditFilters

NAMES = "ABCDEF"


@pytest.fixture
def gateway(customers: Collection[dict[str, Any]], store: MongoCustomerStore) -> FakeGateway:
    """The gateway with customers, deleted ones, outboxes and the log on a real mongod."""
    database = customers.database
    transactions = MongoTransactions(database, 20.0)
    return FakeGateway(
        store=store,
        deleted=MongoDeletedCustomers(database["deleted_customers"]),
        outboxes=MongoOutboxes(database, transactions),
        changes=MongoChangeLog(database, timedelta(days=365)),
        transactions=transactions,
    )


def lives(gateway: FakeGateway) -> dict[tuple[str, datetime], list[Logged]]:
    """Let the relay move what waits; return the log's entries of each life of each customer, in order."""
    found: dict[tuple[str, datetime], list[Logged]] = defaultdict(list)
    for entry in reversed(gateway.logged()):
        found[entry["subject"]["id"] or "", entry["created_at"]].append(entry)
    return found


def test_a_relay_between_the_read_and_the_update_of_a_writer_loses_nothing_and_nothing_comes_back(
    gateway: FakeGateway, customers: Collection[dict[str, Any]]
) -> None:
    services = gateway.services
    services.customers.create("A", inputs())
    moved: list[int] = []
    gateway.model.meanwhile = lambda: moved.append(gateway.outboxes.move(10))  # a writer asks the model in between
    services.customers.patch("A", {"BALANCE": 5_000.0})
    services.customers.replace("A", inputs(BALANCE=7.0))
    services.customer_segments.rescore("A")
    assert moved == [1, 1, 1]
    services.deletions.delete("A")
    services.deletions.restore("A")
    (life,) = lives(gateway).values()
    assert [entry["seq"] for entry in life] == [1, 2, 3, 4, 5, 6]
    assert customers.count_documents({"outbox": {"$ne": []}}) == 0
    stored = services.customers.get("A")
    assert (stored["seq"], stored["revision"], stored["segment"]["since"]) == (6, life[-1]["after"], life[-1]["at"])


def creator(gateway: FakeGateway) -> Callable[[str, float], None]:
    """Return how to create a customer with a balance: lives are told apart by the millisecond in which they begin."""
    creating = threading.Lock()

    def create(cust_id: str, balance: float) -> None:
        with creating:
            time.sleep(0.002)
            gateway.services.customers.create(cust_id, inputs(BALANCE=balance))

    return create


def test_all_that_is_written_while_a_relay_moves_is_logged_once_and_in_its_order(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers_module, "MOST_WAITING", 4)  # writers move entries, too
    services, over = gateway.services, threading.Event()
    acknowledged: dict[str, int] = defaultdict(int)
    create = creator(gateway)

    def write(writer: int) -> None:
        dice = random.Random(writer)
        works: list[Callable[[str], object]] = [
            lambda i: create(i, dice.random()),
            lambda i: services.customers.replace(i, inputs(BALANCE=dice.random())),
            lambda i: services.customers.patch(i, {"BALANCE": 2_000 * dice.random()}),
            lambda i: services.customer_segments.rescore(i),
            services.deletions.delete,
            services.deletions.restore,
        ]
        for _ in range(40):
            cust_id = dice.choice(NAMES)
            with suppress(SegmentationError):
                dice.choice(works)(cust_id)
                with counting:
                    acknowledged[cust_id] += 1

    def relay() -> None:
        while not over.is_set():
            gateway.outboxes.move(3)

    counting = threading.Lock()
    with ThreadPoolExecutor(4) as threads:
        moving = threads.submit(relay)
        for done in [threads.submit(write, writer) for writer in range(3)]:
            done.result()
        over.set()
        moving.result()
    told = lives(gateway)
    for life in told.values():
        assert [entry["seq"] for entry in life] == list(range(1, len(life) + 1))
    positions = [entry["position"] for entry in gateway.changes.newest_first(AuditFilters(), None, 1_000)]
    assert positions == list(range(len(positions), 0, -1))
    for cust_id in NAMES:
        assert sum(len(life) for (of, _), life in told.items() if of == cust_id) == acknowledged[cust_id]
