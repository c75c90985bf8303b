"""The fakes of what is counted of segments keep the contracts of those on MongoDB."""

from __future__ import annotations

import pytest
from contracts.segments import CensusContract, DescriptionsContract, Load, MovesContract, SnapshotsContract
from fakes.changes import InMemoryChangeLog
from fakes.segments import InMemoryCensus, InMemoryDescriptions, InMemoryMoves, InMemorySnapshots
from fakes.store import InMemoryCustomerStore


class TestInMemoryCensus(CensusContract):
    @pytest.fixture
    def store(self) -> InMemoryCustomerStore:
        return InMemoryCustomerStore()

    @pytest.fixture
    def census(self, store: InMemoryCustomerStore) -> InMemoryCensus:
        return InMemoryCensus(store)


class TestInMemorySnapshots(SnapshotsContract):
    @pytest.fixture
    def snapshots(self) -> InMemorySnapshots:
        return InMemorySnapshots()


class TestInMemoryDescriptions(DescriptionsContract):
    @pytest.fixture
    def descriptions(self) -> InMemoryDescriptions:
        return InMemoryDescriptions()


class TestInMemoryMoves(MovesContract):
    @pytest.fixture
    def load(self) -> Load:
        def load(customers, entries):  # type: ignore[no-untyped-def]
            store, log = InMemoryCustomerStore(), InMemoryChangeLog()
            store.insert_many(customers)
            log.entries = {entry["position"]: entry for entry in entries}
            return InMemoryMoves(log, store)

        return load
