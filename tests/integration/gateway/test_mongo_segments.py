"""What is counted of segments on a real mongod: the contracts of its ports."""

from __future__ import annotations

import pytest
from contracts.drift import DriftChecksContract
from contracts.segments import (
    DescriptionsContract,
    Load,
    SegmentCounterContract,
    SnapshotsContract,
    TransitionStoreContract,
)
from pymongo.collection import Collection

from gateway.data_access.mongo.segments.counts import MongoSegmentCounter
from gateway.data_access.mongo.segments.descriptions import MongoDescriptions
from gateway.data_access.mongo.segments.drift_checks import MongoDriftChecks
from gateway.data_access.mongo.segments.snapshots import MongoSnapshots
from gateway.data_access.mongo.segments.transitions import MongoTransitions


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


class TestMongoSegmentCounter(SegmentCounterContract):
    @pytest.fixture
    def counter(self, customers: Collection) -> MongoSegmentCounter:
        return MongoSegmentCounter(customers)


class TestMongoSnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self, customers: Collection) -> MongoSnapshots:
        return MongoSnapshots(customers.database["segment_snapshots"])


class TestMongoDriftChecks(DriftChecksContract):
    @pytest.fixture
    def checks(self, customers: Collection) -> MongoDriftChecks:
        return MongoDriftChecks(customers.database["drift_checks"])


class TestMongoDescriptions(DescriptionsContract):
    @pytest.fixture
    def descriptions(self, customers: Collection) -> MongoDescriptions:
        return MongoDescriptions(customers.database["model_description"])


class TestMongoTransitions(TransitionStoreContract):
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
            return MongoTransitions(customers.database, 30)

        return load
