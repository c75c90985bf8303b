"""The fakes of the change log and the outboxes keep the contract that the real adapters keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from contracts.changes import CREATED_AT, ChangesContract, Put
from fakes.changes import InMemoryChangeLog, InMemoryOrders, InMemoryOutboxes
from fakes.deletions import InMemoryDeletedCustomers
from fakes.store import InMemoryCustomerStore

from gateway.services.events.change import Entry


class TestInMemoryChanges(ChangesContract):
    @pytest.fixture
    def log(self) -> InMemoryChangeLog:
        return InMemoryChangeLog()

    @pytest.fixture
    def store(self) -> InMemoryCustomerStore:
        return InMemoryCustomerStore()

    @pytest.fixture
    def deleted(self) -> InMemoryDeletedCustomers:
        return InMemoryDeletedCustomers()

    @pytest.fixture
    def outboxes(
        self, log: InMemoryChangeLog, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers
    ) -> InMemoryOutboxes:
        return InMemoryOutboxes(log, store, deleted)

    @pytest.fixture
    def orders(self, outboxes: InMemoryOutboxes) -> InMemoryOrders:
        return InMemoryOrders(outboxes)

    @pytest.fixture
    def put(self, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers) -> Put:
        kept: dict[bool, dict[str, Any]] = {False: store.customers, True: deleted.copies}

        def put_(cust_id: str, entries: Sequence[Entry], deleted: bool = False) -> None:
            kept[deleted][cust_id] = {"CUST_ID": cust_id, "created_at": CREATED_AT, "outbox": list(entries)}

        return put_
