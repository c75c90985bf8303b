"""How it was, on a real mongod."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from contracts.as_of import AsOfContract, Document, Life, Put, at
from contracts.changes import about, move
from pymongo.collection import Collection
from pymongo.database import Database

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.events.as_of import LEFT_INDEX, MongoPastSegments
from gateway.data_access.mongo.events.changes import INDEXES
from gateway.data_access.mongo.events.outboxes import MongoOutboxes
from gateway.services.errors import QueryTimeout


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def database(customers: Collection[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The test's database, connected as the gateway connects."""
    return customers.database


class TestMongoPastSegments(AsOfContract):
    """The contract on a real mongod."""

    def test_what_takes_too_long_is_stopped(self, database: Database[dict[str, Any]]) -> None:
        segment = {"from": "seg-01", "from_since": at(0)}
        database["changes"].insert_many([{"_id": n, "at": at(2), "segment": segment} for n in range(20_000)])
        with pytest.raises(QueryTimeout):
            MongoPastSegments(database, 0.001).sizes(at(1))

    def test_what_is_in_the_log_already_does_not_count_twice(
        self, past: MongoPastSegments, outboxes: MongoOutboxes, database: Database[dict[str, Any]]
    ) -> None:
        """As between the moment when the relay has moved an entry and the moment when it empties the outbox."""
        life = Life("A", Random(2))
        moves = [entry for entry in life.entries if "segment" in entry and entry["segment"]["from"]]
        outboxes.add(life.entries)
        outboxes.move(1)
        document = {"_id": "A", "created_at": at(0), "segment": None, "seq": 99, "outbox": life.entries, "logged": 99}
        database["customers"].insert_one(document, bypass_document_validation=True)
        assert moves
        for entry in moves:
            before = entry["at"] - timedelta(milliseconds=1)
            assert dict(past.sizes(before)) == {entry["segment"]["from"]: 1}

    def test_who_was_there_and_how_many_is_read_off_indexes(
        self, past: MongoPastSegments, put: Put, outboxes: MongoOutboxes, database: Database[dict[str, Any]]
    ) -> None:
        database["changes"].create_indexes([*INDEXES, LEFT_INDEX])
        here = [{"id": "seg-01", "since": at(n % 9), "assigned_at": at(n % 9)} for n in range(400)]
        put([{"CUST_ID": f"C{n:03}", "created_at": at(0), "segment": segment} for n, segment in enumerate(here)], [])
        gone = [about("customer", f"D{n:03}", n % 9, segment=move("seg-01", None)) for n in range(400)]
        outboxes.add([{**entry, "segment": {**entry["segment"], "from_since": at(0)}} for entry in gone])
        outboxes.move(1_000)
        database.command("profile", 2)
        found = past.members("seg-01", at(0), None, 20)
        sizes = past.sizes(at(0))
        database.command("profile", 0)
        assert (len(found), sizes["seg-01"]) == (20, 45 + 355)
        queries = list(database["system.profile"].find({"ns": {"$regex": "customers|changes"}}))
        assert {query["op"] for query in queries} == {"query", "command"}
        assert sum(query["docsExamined"] for query in queries if query["ns"].endswith(".customers")) == 0
        assert sum(query["docsExamined"] for query in queries if query["op"] == "query") <= 30

    @pytest.fixture
    def outboxes(self, database: Database[dict[str, Any]]) -> MongoOutboxes:
        return MongoOutboxes(database, MongoTransactions(database, 5.0))

    @pytest.fixture
    def past(self, database: Database[dict[str, Any]]) -> MongoPastSegments:
        return MongoPastSegments(database)

    @pytest.fixture
    def put(self, database: Database[dict[str, Any]]) -> Put:
        def put_(customers: list[Document], deleted: list[Document]) -> None:
            for name, documents in (("customers", customers), ("deleted_customers", deleted)):
                stored = [{"_id": d["CUST_ID"], **{n: v for n, v in d.items() if n != "CUST_ID"}} for d in documents]
                if stored:
                    database[name].insert_many(stored, bypass_document_validation=True)

        return put_
