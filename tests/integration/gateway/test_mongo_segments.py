"""What is counted of segments on a real mongod: the contracts of its ports."""

from __future__ import annotations

import pytest
from contracts.segments import CensusContract, DescriptionsContract, Load, MovesContract, SnapshotsContract
from pymongo.collection import Collection

from gateway.data_access.mongo.segments.census import MongoCensus
from gateway.data_access.mongo.segments.descriptions import MongoDescriptions
from gateway.data_access.mongo.segments.moves import MongoMoves
from gateway.data_access.mongo.segments.snapshots import MongoSnapshots


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


class TestMongoCensus(CensusContract):
    @pytest.fixture
    def census(self, customers: Collection) -> MongoCensus:
        return MongoCensus(customers)


class TestMongoSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, customers: Collection) -> MongoSnapshots:
        return MongoSnapshots(customers.database["segment_snapshots"])


class TestMongoDescriptions(DescriptionsContract):
    @pytest.fixture
    def descriptions(self, customers: Collection) -> MongoDescriptions:
        return MongoDescriptions(customers.database["model_description"])


class TestMongoMoves(MovesContract):
    @pytest.fixture
    def load(self, customers: Collection) -> Load:
        def load(stored, entries):  # type: ignore[no-untyped-def]
            documents = [{"_id": customer["CUST_ID"], **customer} for customer in stored]
            for document in documents:
                del document["CUST_ID"]
            customers.insert_many(documents)
            customers.database["changes"].insert_many(
                [{"_id": e["position"], **{k: v for k, v in e.items() if k != "position"}} for e in entries]
            )
            return MongoMoves(customers.database, 30)

        return load
