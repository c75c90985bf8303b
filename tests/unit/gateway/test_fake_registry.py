"""The fake registry keeps the contract that the client of the model service keeps as well."""

from __future__ import annotations

import pytest
from contracts.registry import RegistryContract
from fakes.registry import FakeRegistry


class TestFakeRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> FakeRegistry:
        return FakeRegistry()
