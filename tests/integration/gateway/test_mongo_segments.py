"""What is counted of segments on a real mongod: the contracts of its ports."""

from __future__ import annotations

from datetime import timedelta

import pytest
from contracts.customers import assignment
from contracts.drift import DriftChecksContract
from contracts.segments import (
    DescriptionsContract,
    Load,
    SegmentCounterContract,
    SnapshotsContract,
    TransitionStoreContract,
)
from pymongo.collection import Collection
from support.customers import stored

from gateway.data_access.mongo.segments.counts import MongoSegmentCounter
from gateway.data_access.mongo.segments.descriptions import MongoDescriptions
from gateway.data_access.mongo.segments.drift_checks import MongoDriftChecks
from gateway.data_access.mongo.segments.snapshots import MongoSnapshots
from gateway.data_access.mongo.segments.transitions import MongoTransitions
from gateway.services.clock import now
from gateway.services.errors import PeriodTooLong


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
            changes = [{"_id": e["position"], **{k: v for k, v in e.items() if k != "position"}} for e in entries]
            if changes:
                customers.database["changes"].insert_many(changes)
            return MongoTransitions(customers.database, 30)

        return load

    def test_only_customers_changed_since_then_are_looked_at(self, load: Load, customers: Collection) -> None:
        """However many there are: of the others not even their index entries."""
        long_ago, since = now() - timedelta(days=90), now() - timedelta(days=1)
        then = {"created_at": long_ago, "updated_at": long_ago}
        load([{**stored(f"C{n}", assignment()), **then} for n in range(1_000)], [])
        customers.database.command("profile", 2)
        found = MongoTransitions(customers.database, 30).between(since, now())
        customers.database.command("profile", 0)
        assert found == ([], 0)
        looked = list(customers.database["system.profile"].find({"ns": customers.full_name}))
        assert looked
        assert sum(query["docsExamined"] + query["keysExamined"] for query in looked) < 100

    def test_a_search_that_takes_too_long_is_stopped(self, load: Load, customers: Collection) -> None:
        load([stored(f"C{n}", assignment()) for n in range(5_000)], [])
        with pytest.raises(PeriodTooLong):
            MongoTransitions(customers.database, 30).between(now() - timedelta(days=9_000), now(), 0.001)
