"""The change log, the outboxes and the relay on a real mongod."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from contracts.changes import ALL, CREATED_AT, ChangesContract, Put, about, at, entry, numbers
from flask import Flask
from pymongo import timeout
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from support.servers import running_mongod

from gateway.data_access.mongo.collection import MongoTransactions, session
from gateway.data_access.mongo.events.changes import MongoChangeLog
from gateway.data_access.mongo.events.outboxes import FULL, MongoOrders, MongoOutboxes, waiting_in
from gateway.data_access.mongo.schema import MongoSchema
from gateway.services.errors import StoreError, StoreUnavailable
from gateway.services.events.change import Entry, Logged
from gateway.services.events.relay import Relay
from gateway.settings import Settings
from gateway.stores import connect, schema_of

Documents = Collection[dict[str, Any]]
DAY = timedelta(days=1)


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def database(customers: Collection[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The test's database, connected as the gateway connects."""
    return customers.database


@pytest.fixture
def log(database: Database[dict[str, Any]]) -> MongoChangeLog:
    return MongoChangeLog(database, timedelta(days=365))


@pytest.fixture
def outboxes(database: Database[dict[str, Any]]) -> MongoOutboxes:
    return MongoOutboxes(database, MongoTransactions(database, 5.0))


@pytest.fixture
def orders(database: Database[dict[str, Any]]) -> MongoOrders:
    return MongoOrders(database)


@pytest.fixture
def put(database: Database[dict[str, Any]]) -> Put:
    def put_(cust_id: str, entries: Sequence[Entry], deleted: bool = False) -> None:
        document = {"_id": cust_id, "created_at": CREATED_AT, "outbox": list(entries)}
        where = database["deleted_customers" if deleted else "customers"]
        where.insert_one(document, bypass_document_validation=True)

    return put_


class TestMongoChanges(ChangesContract):
    """The contract on a real mongod."""


def test_who_comes_anew_with_nothing_to_tell_before_outboxes_are_emptied_stays_as_it_is(
    database: Database[dict[str, Any]], put: Put
) -> None:
    imported = {"_id": "A", "created_at": CREATED_AT, "seq": 0}

    class Slow(MongoTransactions):
        def run(self, work: Callable[[], Any]) -> Any:
            moved = super().run(work)
            database["customers"].delete_one({"_id": "A"})
            database["customers"].insert_one(dict(imported), bypass_document_validation=True)
            return moved

    put("A", [entry(1, seq=1)])
    assert MongoOutboxes(database, Slow(database, 5.0)).move(10) == 1
    assert database["customers"].find_one() == imported


def test_an_erasure_that_is_not_committed_has_erased_nothing(
    log: MongoChangeLog, outboxes: MongoOutboxes, database: Database[dict[str, Any]], put: Put
) -> None:
    put("A", [entry(1, seq=1, fields=["BALANCE"], values={"BALANCE": [1.0, 2.0]})])
    outboxes.move(10)
    outboxes.add([about("customer", "A", 2, seq=2)])
    database["audit"].insert_one({"_id": "a", "subject": {"type": "customer", "id": "A"}})
    outboxes = MongoOutboxes(database, MongoTransactions(database, 5.0))  # has not looked for an earlier trail

    def broken_off() -> None:
        assert (outboxes.erase("A"), log.erase("A")) == (2, 1)
        raise StoreError("Not committed.")

    with pytest.raises(StoreError, match="Not committed"):
        MongoTransactions(database, 5.0).run(broken_off)
    assert [each["values"] for each in log.of_customer("A", None, 10)] == [{"BALANCE": [1.0, 2.0]}]
    assert (outboxes.erase("A"), log.erase("A")) == (2, 1)


@pytest.mark.parametrize("name", ["customers", "deleted_customers", "outbox"])
def test_the_relay_finds_what_waits_by_an_index_that_holds_nothing_else(
    database: Database[dict[str, Any]], name: str
) -> None:
    MongoSchema(database, schema_of(Settings())).bring_up_to_date()
    full = [{"_id": f"W{n}", "outbox": [entry(-n), entry(n)]} for n in range(10)]
    rest = [{"_id": f"E{n}", **empty} for n in range(50) for empty in ({"outbox": []}, {"_id": f"N{n}"})]
    database[name].insert_many([*full, *rest], bypass_document_validation=True)
    query = {"find": name, "filter": FULL, "sort": {"outbox.0.at": 1}, "limit": 5}
    stats = database.command("explain", query, verbosity="executionStats")["executionStats"]
    assert (stats["totalKeysExamined"], stats["totalDocsExamined"]) == (5, 5)


def test_what_is_in_the_log_does_not_wait_though_it_is_still_in_the_outbox(
    database: Database[dict[str, Any]], outboxes: MongoOutboxes, log: MongoChangeLog, put: Put
) -> None:
    """As a relay leaves it that dies right after its transaction."""
    put("A", [entry(1, seq=1), entry(2, seq=2), entry(3, seq=3)])
    database["customers"].update_one({"_id": "A"}, {"$set": {"logged": 2}})
    assert outboxes.move(10) == 1
    assert numbers(log.after(0, None, 10)) == [3]
    assert outboxes.waiting().entries == 0
    database["customers"].update_one({"_id": "A"}, {"$set": {"outbox": [entry(1, seq=2), entry(1, seq=3)]}})
    assert outboxes.move_of("A") == 0
    assert database["customers"].find_one({"_id": "A"}) == {
        "_id": "A",
        "created_at": CREATED_AT,
        "outbox": [],
        "logged": 3,
    }


class Written(NamedTuple):
    """What the threads wrote: how many entries of each customer's life, and how many others."""

    lives: Counter[tuple[str, datetime]]
    others: int


def write(database: Database[dict[str, Any]], place: int, rounds: int) -> Written:
    """Change customers, delete and create some of them anew, and add entries of other things, as services do."""
    dice, lives, others = random.Random(place), Counter[tuple[str, datetime]](), 0
    customers, deleted = database["customers"], database["deleted_customers"]
    transactions, free = MongoTransactions(database, 30.0), MongoOutboxes(database, MongoTransactions(database, 30.0))
    for number in range(rounds):
        cust_id, at_ = f"C{place}-{dice.randrange(6)}", at(number)
        stored = customers.find_one({"_id": cust_id})
        if stored is None:
            new = {"_id": cust_id, "created_at": at_, "seq": 1, "outbox": [entry(number, seq=1)]}
            customers.insert_one(new, bypass_document_validation=True)
            lives[cust_id, at_] = 1
        elif dice.random() < 0.1:
            transactions.run(lambda: _delete(customers, deleted, cust_id, number))  # noqa: B023  # called at once
            lives[cust_id, stored["created_at"]] += 1
        else:
            pushed = {"$push": {"outbox": entry(number, seq=stored["seq"] + 1)}, "$set": {"seq": stored["seq"] + 1}}
            customers.update_one({"_id": cust_id}, pushed, bypass_document_validation=True)
            lives[cust_id, stored["created_at"]] += 1
        if number % 20 == 0:
            free.add([about("import", f"i{place}", number)])
            others += 1
    return Written(lives, others)


def _delete(customers: Documents, deleted: Documents, cust_id: str, number: int) -> None:
    stored = customers.find_one_and_delete({"_id": cust_id}, session=session())
    assert stored is not None
    older = deleted.find_one_and_delete({"_id": cust_id}, session=session()) or {"outbox": []}
    told = [{"created_at": stored["created_at"], **each} for each in waiting_in(stored)]
    last = entry(number, seq=stored["seq"] + 1, created_at=stored["created_at"])
    copy = {"_id": cust_id, "created_at": stored["created_at"], "outbox": [*older["outbox"], *told, last]}
    deleted.insert_one(copy, session=session())


class Reader:
    """Polls the log all the time, and holds what it has read to what is there in the end."""

    def __init__(self, log: MongoChangeLog) -> None:
        self._log = log
        self.read: list[Logged] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def _poll(self) -> None:
        while True:
            over = self._over.is_set()
            with contextlib.suppress(StoreUnavailable):
                while found := self._log.after(self.read[-1]["position"] if self.read else 0, None, 100):
                    self.read += found
                if over:
                    return

    def end(self) -> list[Logged]:
        """Return all that it read; the log has nothing else."""
        self._over.set()
        self._thread.join()
        assert self.read == self._log.after(0, None, 1_000_000)
        assert [each["position"] for each in self.read] == [*range(1, self._log.head() + 1)]
        return self.read


def check(logged: Sequence[Logged], written: Sequence[Written]) -> None:
    """Hold the log to what was written: every entry once, each life in order and without gaps."""
    lives: dict[tuple[str, datetime], list[int]] = {}
    for each in logged:
        if each["subject"]["type"] == "customer":
            lives.setdefault((str(each["subject"]["id"]), each["created_at"]), []).append(each["seq"])
    for some in written:
        for life, last in some.lives.items():
            assert lives.pop(life) == [*range(1, last + 1)], life
    assert lives == {}
    assert len(logged) == sum(some.lives.total() + some.others for some in written)


def test_every_entry_is_logged_once_by_two_relays_and_no_reader_misses_one(
    database: Database[dict[str, Any]], log: MongoChangeLog
) -> None:
    MongoSchema(database, schema_of(Settings())).bring_up_to_date()
    over = threading.Event()

    def relay() -> None:
        own = Relay(MongoOutboxes(database, MongoTransactions(database, 30.0)), log, 365)
        while not over.is_set():
            own.run_once()

    reader, relays = Reader(log), [threading.Thread(target=relay) for _ in range(2)]
    for thread in relays:
        thread.start()
    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(lambda place: write(database, place, 120), range(4)))
    over.set()
    for thread in relays:
        thread.join()
    Relay(MongoOutboxes(database, MongoTransactions(database, 30.0)), log, 365).run_once()
    check(reader.end(), written)


def test_a_relay_that_is_killed_anywhere_loses_and_doubles_nothing(
    database: Database[dict[str, Any]], mongodb_uri: str, log: MongoChangeLog
) -> None:
    MongoSchema(database, schema_of(Settings())).bring_up_to_date()
    reader, dice = Reader(log), random.Random(1)
    written = []
    context = multiprocessing.get_context("spawn")
    for place in range(2):
        relay = context.Process(target=relay_for_ever, args=[mongodb_uri])
        relay.start()
        before = log.head()
        written.append(write(database, place, 60))
        while log.head() == before and relay.is_alive():
            time.sleep(0.01)
        time.sleep(dice.random() * 0.05)
        relay.kill()
        relay.join()
    # A transaction that its client has left holds what it wrote until it is ended, here at once.
    database.client.admin.command("killAllSessions", [])
    Relay(MongoOutboxes(database, MongoTransactions(database, 30.0)), log, 365).run_once()
    check(reader.end(), written)


def relay_for_ever(uri: str) -> None:
    """Be a worker that has nothing else to do; one of the documents of each transaction is written meanwhile."""
    database = connect(Flask("relay"), Settings(mongodb_uri=uri))
    outboxes = MongoOutboxes(database, MongoTransactions(database, 30.0))
    while True:
        outboxes.move(3)


def test_who_died_within_a_transaction_holds_up_nobody_elses_entries(
    database: Database[dict[str, Any]], outboxes: MongoOutboxes, log: MongoChangeLog, put: Put
) -> None:
    put("A", [entry(1, seq=1)])
    for number in range(20):
        put(f"B{number:02}", [entry(2 + number, seq=1)])
    put("B05", [entry(0, seq=9)], deleted=True)
    with database.client.start_session() as dead, dead.start_transaction():
        database["customers"].update_one({"_id": "A"}, {"$set": {"BALANCE": 5.0}}, session=dead)
        while log.head() < 21:
            outboxes.move(500)
        assert outboxes.waiting() == (1, at(1))
        dead.abort_transaction()
    outboxes.move(500)
    logged = [(str(each["subject"]["id"]), each["seq"]) for each in log.after(0, None, 100)]
    assert sorted(logged) == [("A", 1), *sorted([(f"B{number:02}", 1) for number in range(20)] + [("B05", 9)])]
    assert logged.index(("B05", 9)) < logged.index(("B05", 1))


def test_a_gateway_moves_what_waits_with_a_customer_while_the_relay_stands_still(
    outboxes: MongoOutboxes, log: MongoChangeLog, put: Put
) -> None:
    put("A", [entry(number, seq=number) for number in range(1, 101)])
    put("B", [entry(1, seq=1)])
    assert outboxes.move_of("A") == 100
    assert [each["seq"] for each in log.after(0, None, 1_000)] == [*range(1, 101)]
    assert outboxes.waiting().entries == 1


def test_what_waits_while_mongod_is_killed_is_logged_when_it_is_back() -> None:
    with running_mongod() as server:
        database = connect(Flask("test"), Settings(mongodb_uri=server.uri("test"), mongodb_timeout=10))
        outboxes, log = MongoOutboxes(database, MongoTransactions(database, 10.0)), MongoChangeLog(database, DAY)
        acknowledged, killed, over = [], threading.Event(), threading.Event()

        def relay() -> None:
            while not over.is_set():
                with contextlib.suppress(StoreError):
                    outboxes.move(2)

        def kill() -> None:
            server.kill()
            killed.set()

        threads = [threading.Thread(target=relay), threading.Timer(0.3, kill)]
        for thread in threads:
            thread.start()
        number = 0
        while not killed.is_set():
            number += 1
            customer = {"_id": f"C{number}", "created_at": CREATED_AT, "outbox": [entry(number, seq=1)]}
            with contextlib.suppress(PyMongoError), timeout(0.3):
                database["customers"].insert_one(customer)
                acknowledged.append(f"C{number}")
        server.start()
        while outboxes.waiting().entries:
            with contextlib.suppress(StoreError):
                outboxes.move(500)
        over.set()
        threads[0].join()
        logged = [each["subject"]["id"] for each in log.after(0, None, 100_000)]
        database.client.close()
    assert len(logged) == len({*logged})
    assert {*acknowledged} <= {*logged}
    assert acknowledged


class Raising:
    """A database, its collections and their client: every use raises one error of the driver."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.database = self.client = self  # no less than a store needs to be made
        self.name = "raising"

    def __getitem__(self, name: str) -> Raising:
        return self

    def __getattr__(self, name: str) -> Any:
        raise self._error


class AtOnce:
    """Transactions that are none."""

    def run(self, work: Callable[[], Any]) -> Any:
        return work()


CALLS: dict[str, Callable[[MongoChangeLog, MongoOutboxes, MongoOrders], object]] = {
    "newest_first": lambda log, outboxes, orders: log.newest_first(ALL, None, 1),
    "after": lambda log, outboxes, orders: log.after(0, None, 1),
    "of_customer": lambda log, outboxes, orders: log.of_customer("A", None, 1),
    "segment_changes": lambda log, outboxes, orders: list(log.segment_changes(CREATED_AT, None)),
    "head": lambda log, outboxes, orders: log.head(),
    "memory": lambda log, outboxes, orders: log.memory(),
    "forget": lambda log, outboxes, orders: log.forget(CREATED_AT),
    "erase": lambda log, outboxes, orders: log.erase("A"),
    "add": lambda log, outboxes, orders: outboxes.add([]),
    "move": lambda log, outboxes, orders: outboxes.move(1),
    "move_of": lambda log, outboxes, orders: outboxes.move_of("A"),
    "erase waiting": lambda log, outboxes, orders: outboxes.erase("A"),
    "waiting": lambda log, outboxes, orders: outboxes.waiting(),
    "place": lambda log, outboxes, orders: orders.place(entry(id="o1")),
    "carried_out": lambda log, outboxes, orders: orders.carried_out(entry(id="o1")),
    "withdraw": lambda log, outboxes, orders: orders.withdraw(["o1"]),
    "of": lambda log, outboxes, orders: orders.of([]),
    "give_up": lambda log, outboxes, orders: orders.give_up(CREATED_AT, []),
    "last_seen": lambda log, outboxes, orders: orders.last_seen(),
    "see": lambda log, outboxes, orders: orders.see("e1", None),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("error", "kind"),
    [(AutoReconnect("something"), StoreUnavailable), (OperationFailure("something", 13), StoreError)],
    ids=["away", "refused"],
)
def test_every_driver_error_becomes_one_of_the_stores(name: str, error: Exception, kind: type[StoreError]) -> None:
    database: Any = Raising(error)
    with pytest.raises(StoreError) as caught:
        CALLS[name](MongoChangeLog(database, DAY), MongoOutboxes(database, AtOnce()), MongoOrders(database))
    assert type(caught.value) is kind
