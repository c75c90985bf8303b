"""The fake of how it was keeps the contract that the real adapter keeps."""

from __future__ import annotations

import pytest
from contracts.as_of import AsOfContract, Document, Put
from fakes.as_of import InMemoryPastSegments
from fakes.changes import InMemoryOutboxes
from fakes.gateway import FakeGateway


class TestInMemoryPastSegments(AsOfContract):
    @pytest.fixture
    def gateway(self) -> FakeGateway:
        return FakeGateway()

    @pytest.fixture
    def outboxes(self, gateway: FakeGateway) -> InMemoryOutboxes:
        found: InMemoryOutboxes = gateway.outboxes
        return found

    @pytest.fixture
    def past(self, gateway: FakeGateway) -> InMemoryPastSegments:
        return InMemoryPastSegments(gateway.store, gateway.deleted, gateway.changes, gateway.outboxes)

    @pytest.fixture
    def put(self, gateway: FakeGateway) -> Put:
        def put_(customers: list[Document], deleted: list[Document]) -> None:
            gateway.store.customers |= {document["CUST_ID"]: document for document in customers}
            gateway.deleted.copies |= {document["CUST_ID"]: document for document in deleted}

        return put_
