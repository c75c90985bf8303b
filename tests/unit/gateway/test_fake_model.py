"""The fake model keeps the contract that the client of the model service keeps as well."""

from __future__ import annotations

import pytest
from contracts.model import POOR, ModelContract
from fakes.model import DOWN, FakeModel

from gateway.services.errors import ModelUnavailable


class TestFakeModel(ModelContract):
    @pytest.fixture
    def model(self) -> FakeModel:
        return FakeModel()

    def test_fails_as_it_is_told_and_records_the_call(self, model: FakeModel) -> None:
        model.failure = DOWN
        with pytest.raises(ModelUnavailable):
            model.predict(POOR, 0.5)
        assert (model.calls, model.deadlines) == ([("predict", 1)], [0.5])
