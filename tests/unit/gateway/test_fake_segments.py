"""The fakes of what is counted of segments keep the contracts of those on MongoDB."""

from __future__ import annotations

import pytest
from contracts.segments import (
    DescriptionsContract,
    Load,
    SegmentCounterContract,
    SnapshotsContract,
    TransitionStoreContract,
)
from fakes.changes import InMemoryChangeLog
from fakes.segments import InMemoryDescriptions, InMemorySegmentCounter, InMemorySnapshots, InMemoryTransitions
from fakes.store import InMemoryCustomerStore


class TestInMemorySegmentCounter(SegmentCounterContract):
    @pytest.fixture
    def store(self) -> InMemoryCustomerStore:
        return InMemoryCustomerStore()

    @pytest.fixture
    def counter(self, store: InMemoryCustomerStore) -> InMemorySegmentCounter:
        return InMemorySegmentCounter(store)


class TestInMemorySnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self) -> InMemorySnapshots:
        return InMemorySnapshots()


class TestInMemoryDescriptions(DescriptionsContract):
    @pytest.fixture
    def descriptions(self) -> InMemoryDescriptions:
        return InMemoryDescriptions()


class TestInMemoryTransitions(TransitionStoreContract):
    @pytest.fixture
    def load(self) -> Load:
        def load(customers, entries):  # type: ignore[no-untyped-def]
            store, log = InMemoryCustomerStore(), InMemoryChangeLog()
            store.insert_many(customers)
            log.entries = {entry["position"]: entry for entry in entries}
            return InMemoryTransitions(log, store)

        return load
