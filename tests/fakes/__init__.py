"""Fakes of the gateway's ports, the contracts they share with the real adapters, and servers for tests."""

import pytest

pytest.register_assert_rewrite("fakes.store_contract", "fakes.problems", "fakes.model_contract")
