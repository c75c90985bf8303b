"""Fakes of the gateway's ports, the contracts they share with the real adapters, and servers for tests."""

import pytest

for _name in (
    "audit_contract",
    "idempotency_contract",
    "store_contract",
    "problems",
    "model_contract",
    "query_contract",
    "customer_queries",
    "registry_contract",
):
    pytest.register_assert_rewrite(f"fakes.{_name}")
