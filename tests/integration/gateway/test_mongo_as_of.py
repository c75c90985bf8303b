"""How it was, on a real mongod."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.as_of import AsOfContract, Document, Put
from pymongo.collection import Collection
from pymongo.database import Database

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.events.as_of import MongoPastSegments
from gateway.data_access.mongo.events.outboxes import MongoOutboxes


@pytest.fixture
def database(customers: Collection[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The test's database, connected as the gateway connects."""
    return customers.database


class TestMongoPastSegments(AsOfContract):
    """The contract on a real mongod."""

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
