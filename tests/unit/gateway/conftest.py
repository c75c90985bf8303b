"""Fixtures of the gateway's unit tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from fakes.gateway import FakeGateway
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what `request_log.configure` did to the root logger: its handler holds on to a captured stream."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


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
