"""The feed of events on a real mongod: readers wait while others write, relays move, and the database fails over."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.changes import about, at, entry, move
from fakes.gateway import FakeGateway
from flask import Flask
from pymongo.database import Database
from support.gateway_process import SERVERS, running_gateway
from support.problems import assert_problem
from support.servers import running_mongod

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.events.changes import MongoChangeLog
from gateway.data_access.mongo.events.outboxes import MongoOutboxes
from gateway.services.errors import StoreUnavailable
from gateway.services.events.feed import Event, FeedService
from gateway.services.events.log_watcher import LogWatcher
from gateway.services.events.relay import Relay
from gateway.settings import Settings
from gateway.stores import connect

EVENTS = "/api/v1/events"
WRITERS, CHANGES = 4, 60


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[Database[dict[str, Any]]]:
    database = connect(Flask("test"), Settings(mongodb_uri=mongodb_uri))
    yield database
    database.client.close()


def _feed(database: Database[dict[str, Any]]) -> FeedService:
    log = MongoChangeLog(database, timedelta(days=365))
    return FeedService(log, MongoTransactions(database, 5.0), LogWatcher(log.head, 0.02))


def _outboxes(database: Database[dict[str, Any]]) -> MongoOutboxes:
    return MongoOutboxes(database, MongoTransactions(database, 5.0))


def _write(database: Database[dict[str, Any]], writer: int) -> None:
    """Change a customer again and again, each time with an entry; others write entries of their own."""
    customers, outboxes, cust_id = database["customers"], _outboxes(database), f"C{writer}"
    new = {"_id": cust_id, "created_at": at(0), "outbox": []}
    customers.insert_one(new, bypass_document_validation=True)
    for seq in range(1, CHANGES + 1):
        made = entry(seq, seq=seq, segment=move("seg-01", "seg-02")) if seq % 3 == 0 else entry(seq, seq=seq)
        customers.update_one({"_id": cust_id}, {"$push": {"outbox": made}}, bypass_document_validation=True)
        if seq % 10 == 0:
            outboxes.add([about("import", f"{cust_id}-{seq}", seq, type="import.completed")])


def _relay(database: Database[dict[str, Any]], done: threading.Event) -> None:
    relay = Relay(_outboxes(database), MongoChangeLog(database, timedelta(days=365)), 365)
    while not done.is_set():
        try:
            relay.run_once()
        except StoreUnavailable:  # the other was faster too often, or there is no primary
            time.sleep(0.01)
    relay.run_once()


def _follow(feed: FeedService, limit: int, events: int) -> list[Event]:
    number, seen = 1, list[Event]()
    give_up_at = time.monotonic() + 120
    while len(seen) < events and time.monotonic() < give_up_at:
        found = feed.after(number, None, limit, 5)
        assert all(int(event["id"]) > number for event in found.items)
        number = found.end
        seen += found.items
    assert feed.after(number, None, limit, 0) == ([], number, False)
    return seen


def test_readers_who_wait_see_everything_once_and_in_order_while_others_write_and_two_relays_run(
    database: Database[dict[str, Any]],
) -> None:
    feed, done = _feed(database), threading.Event()
    events = WRITERS * (CHANGES + CHANGES // 3 + CHANGES // 10)
    with ThreadPoolExecutor(16) as threads:
        readers = [threads.submit(_follow, feed, limit, events) for limit in (1, 7, 1_000)]
        relays = [threads.submit(_relay, database, done) for _ in range(2)]
        for writer in [threads.submit(_write, database, number) for number in range(WRITERS)]:
            writer.result()
        found = [reader.result() for reader in readers]
        done.set()
        for relay in relays:
            relay.result()
    first = found[0]
    assert found == [first] * 3
    assert all(int(a["id"]) < int(b["id"]) for a, b in itertools.pairwise(first))
    for writer in range(WRITERS):
        mine = [event for event in first if event["subject"]["id"] == f"C{writer}"]
        assert [e["seq"] for e in mine if e["type"] == "customer.updated"] == list(range(1, CHANGES + 1))
        moved = [e["seq"] for e in mine if e["type"] == "customer.segment_changed"]
        assert moved == list(range(3, CHANGES + 1, 3))
    imports = Counter(event["subject"]["id"] for event in first if event["type"] == "import.completed")
    assert set(imports.values()) == {1}
    assert len(imports) == WRITERS * (CHANGES // 10)


def test_what_is_not_kept_any_more_has_expired_for_who_was_away(database: Database[dict[str, Any]]) -> None:
    log, outboxes = MongoChangeLog(database, timedelta(days=365)), _outboxes(database)
    outboxes.add([about("import", f"i{n}", n, type="import.completed") for n in range(5)])
    outboxes.move(10)
    log.forget(at(3))
    gateway = FakeGateway(changes=log, transactions=MongoTransactions(database, 5.0))
    problem = assert_problem(gateway.client.get(f"{EVENTS}?after=5"), 410, "cursor_expired")
    for address in (f"{EVENTS}?after={problem['earliest']}", EVENTS):
        page = gateway.client.get(address).json
        assert [event["subject"]["id"] for event in page["items"]] == ["i3", "i4"]
    assert_problem(gateway.client.get(f"{EVENTS}?after=9999"), 410, "cursor_expired")
    assert gateway.client.get(f"{EVENTS}?after={page['next_cursor']}").json == {**page, "items": []}


def test_a_mongod_that_is_killed_during_a_wait_and_comes_back_loses_nothing() -> None:
    with running_mongod() as own:
        database = connect(Flask("test"), Settings(mongodb_uri=own.uri("feed"), mongodb_timeout=30))
        feed, outboxes = _feed(database), _outboxes(database)
        outboxes.add([about("import", "before", type="import.completed")])
        outboxes.move(1)
        with ThreadPoolExecutor(1) as reader:
            waiting = reader.submit(feed.after, feed.now(), None, 10, 30)
            own.kill()
            own.start()
            outboxes.add([about("import", "after", type="import.completed")])
            outboxes.move(1)
            assert [event["subject"]["id"] for event in waiting.result(60).items] == ["after"]
        database.client.close()


@pytest.mark.parametrize("server", SERVERS)
def test_readers_who_wait_hold_up_neither_others_nor_the_end_of_the_process(
    mongodb_uri: str, server: str, tmp_path: Path
) -> None:
    with running_gateway(mongodb_uri, server, tmp_path / "log", GATEWAY_THREADS=2) as running:
        readers = 17  # one more than a key may have
        with ThreadPoolExecutor(readers) as threads:
            waiting = [threads.submit(running.ask, "GET", f"{EVENTS}?after=now&wait=30") for _ in range(readers)]
            refused = next(as_completed(waiting, 20))
            assert (refused.result().status_code, refused.result().headers["Retry-After"]) == (503, "1")
            for path in (EVENTS, "/api/v1/customers", "/health/live"):
                assert running.ask("GET", path).ok
            assert [each for each in waiting if each.done()] == [refused]
            running.process.terminate()
            answers = [each.result() for each in waiting if each is not refused]
            assert {(answer.status_code, len(answer.json()["items"])) for answer in answers} == {(200, 0)}
            running.process.wait(20)
