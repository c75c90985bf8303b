"""The change log, the outboxes and the relay on a real mongod."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from contracts.changes import CREATED_AT, ChangesContract, Put, entry
from pymongo.collection import Collection
from pymongo.database import Database

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.events.changes import MongoChangeLog
from gateway.data_access.mongo.events.outboxes import FULL, MongoOrders, MongoOutboxes
from gateway.data_access.mongo.schema import MongoSchema
from gateway.services.events.change import Entry
from gateway.settings import Settings
from gateway.stores import schema_of


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
