"""The audit trail of earlier versions comes into the change log, once, whoever dies on the way."""

from __future__ import annotations

import multiprocessing
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.changes import CLERK, entry
from flask import Flask
from pymongo.collection import Collection
from pymongo.database import Database

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.events import audit_upgrade
from gateway.data_access.mongo.events.changes import MongoChangeLog
from gateway.data_access.mongo.events.outboxes import MongoOrders, MongoOutboxes
from gateway.data_access.mongo.schema import MongoSchema
from gateway.services.events.audit import AuditService, ErasableChanges
from gateway.services.events.change import Origin, Subject
from gateway.services.events.log import AuditFilters
from gateway.services.events.recorder import entry_of
from gateway.services.principal import COMMAND_LINE
from gateway.settings import Settings
from gateway.stores import connect, schema_of

AT = datetime(2026, 1, 1)
FAR = datetime(2124, 5, 1)
ALL = AuditFilters()


def old(number: int, **members: Any) -> dict[str, Any]:
    """Return an entry as earlier versions stored it."""
    return {
        "_id": f"{number:032x}",
        "at": AT + timedelta(seconds=number),
        "actor": CLERK,
        "action": "customer.replaced",
        "subject": {"type": "customer", "id": f"C{number % 7}"},
        "before": "r1",
        "after": f"r{number}",
        "by": None,
        "request_id": "req",
        "address": "127.0.0.1",
        "erased": False,
        **members,
    }


@pytest.fixture
def database(customers: Collection[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The test's database, connected as the gateway connects."""
    return customers.database


@pytest.fixture
def log(database: Database[dict[str, Any]]) -> MongoChangeLog:
    return MongoChangeLog(database, timedelta(days=1))


def outboxes_of(database: Database[dict[str, Any]]) -> MongoOutboxes:
    """Return what a worker that has just begun moves entries with."""
    return MongoOutboxes(database, MongoTransactions(database, 30.0))


def test_entries_are_shown_as_before_and_precede_those_of_today(
    database: Database[dict[str, Any]], log: MongoChangeLog
) -> None:
    nobody = {"type": "customer", "id": None}
    order = old(5, action="model.activated", subject={"type": "model", "id": "v2"}, before=None, after=None)
    database["audit"].insert_many(
        [
            old(1),
            old(2, action="customer.patched", subject=nobody, erased=True),
            old(3, action="import.ended", subject={"type": "import", "id": "i1"}),
            old(4, action="segment.labelled", subject={"type": "segment", "id": "seg-01"}, by="Eva"),
            order,
        ]
    )
    outboxes = outboxes_of(database)
    outboxes.add([entry_of(Origin(COMMAND_LINE), "api_key.created", Subject(type="api_key", id="k1"))])
    assert outboxes.move(100) == 1
    newest, *items = AuditService(log).page(ALL, None, 10).items
    assert newest["action"] == "api_key.created"
    assert [entry["action"] for entry in items] == [
        "segment.relabelled",
        "import.completed",
        "customer.updated",
        "customer.updated",
    ]
    assert [entry["id"] for entry in items] == [old(number)["_id"] for number in (4, 3, 2, 1)]
    first = old(1)
    assert {name: items[-1][name] for name in first if name not in ("_id", "action")} == {  # type: ignore[literal-required]
        name: value for name, value in first.items() if name not in ("_id", "action")
    }
    assert (items[0]["by"], items[2]["erased"], items[2]["subject"]) == ("Eva", True, nobody)
    assert [each["id"] for each in MongoOrders(database).of(["model.activated"])] == [order["_id"]]
    assert "audit" not in database.list_collection_names()
    assert log.memory().position == 0


def bring_over(uri: str) -> None:
    """Be a worker that begins."""
    audit_upgrade.AT_ONCE = 50
    outboxes_of(connect(Flask("worker"), Settings(mongodb_uri=uri))).move(500)


def test_nothing_is_lost_or_doubled_by_workers_that_are_killed_and_meet(
    database: Database[dict[str, Any]], mongodb_uri: str, log: MongoChangeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 3_000
    database["audit"].insert_many([old(number) for number in range(count)])
    worker = multiprocessing.get_context("spawn").Process(target=bring_over, args=[mongodb_uri])
    worker.start()
    while not database["changes"].estimated_document_count():
        assert worker.is_alive()
    worker.kill()
    worker.join()
    database.client.admin.command("killAllSessions", [])
    assert 0 < database["changes"].count_documents({}) < count
    monkeypatch.setattr(audit_upgrade, "AT_ONCE", 200)
    pair = [threading.Thread(target=outboxes_of(database).move, args=[500]) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    logged = log.after(0, None, count + 1)
    assert [entry.get("id") for entry in logged] == [old(number)["_id"] for number in range(count)]
    assert [entry["position"] for entry in logged] == [*range(1, count + 1)]


def test_a_copy_of_a_deleted_customer_expires_when_nothing_waits_with_it(database: Database[dict[str, Any]]) -> None:
    MongoSchema(database, schema_of(Settings())).bring_up_to_date()
    deleted = database["deleted_customers"]
    waiting = [entry(1, seq=1)]
    deleted.insert_many(
        [
            {"_id": "of before", "created_at": AT, "expires_at": FAR},
            {"_id": "waits", "created_at": AT, "expires_at": FAR, "outbox": waiting},
        ]
    )
    due = {"filter": {"expires_at": FAR, "outbox": []}, "hint": "expiry_when_logged"}
    assert list(deleted.find(**due)) == []
    outboxes_of(database).move(10)
    assert sorted(copy["_id"] for copy in deleted.find(**due)) == ["of before", "waits"]


def test_an_erasure_reaches_entries_wherever_they_are(database: Database[dict[str, Any]], log: MongoChangeLog) -> None:
    database["audit"].insert_many([old(number) for number in range(70)])
    earlier = outboxes_of(database)
    places = ErasableChanges(earlier, log)
    assert places.erase("C1") == 10
    database["audit"].insert_many([old(100, subject={"type": "customer", "id": "C2"})])
    earlier.move(500)
    assert places.erase("C2") == 11
    assert places.erase("C1") == places.erase("C2") == 0
    assert database["changes"].count_documents({"erased": True, "subject.id": None}) == 21
    assert database["changes"].count_documents({"subject.id": {"$in": ["C1", "C2"]}}) == 0
