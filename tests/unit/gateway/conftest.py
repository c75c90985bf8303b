"""Fixtures of the gateway's unit tests."""

from __future__ import annotations

import pytest
from fakes.gateway import FakeGateway
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore


@pytest.fixture
def gateway() -> FakeGateway:
    """The gateway over HTTP, on fakes."""
    return FakeGateway()


@pytest.fixture
def store() -> InMemoryCustomerStore:
    """An empty store."""
    return InMemoryCustomerStore()


@pytest.fixture
def model() -> FakeModel:
    """A model that answers."""
    return FakeModel()
