"""How it was, on a real mongod."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from contracts.as_of import AsOfContract, Document, Life, Put, at
from pymongo.collection import Collection
from pymongo.database import Database

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.events.as_of import MongoPastSegments
from gateway.data_access.mongo.events.outboxes import MongoOutboxes
from gateway.services.errors import QueryTimeout


@pytest.fixture
def database(customers: Collection[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The test's database, connected as the gateway connects."""
    return customers.database


class TestMongoPastSegments(AsOfContract):
    """The contract on a real mongod."""

    def test_what_takes_too_long_is_stopped(self, database: Database[dict[str, Any]], put: Put) -> None:
        segment = {"id": "seg-01", "since": at(0), "assigned_at": at(0)}
        put([{"CUST_ID": f"C{n}", "created_at": at(0), "segment": segment} for n in range(5_000)], [])
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
