"""Whatever is asked of a customer, and whatever goes wrong with it, no line of the log names it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given, settings
from hypothesis import strategies as st
from support.customers import body, inputs

from gateway.services.customers.digest import log_digest
from gateway.services.errors import Contended, CustomerNotFound, StoreError
from gateway.settings import Settings
from shared.telemetry import logs

CUST_IDS = st.from_regex(r"[A-Z]{3}[0-9]{6}[._-]?[a-z]{2}", fullmatch=True)


def _failing(cust_id: str) -> list[BaseException]:
    try:
        raise StoreError("The database failed.") from ValueError(cust_id)
    except StoreError as error:
        return [KeyError(cust_id), Contended(cust_id), CustomerNotFound(cust_id), OSError(5, cust_id), error]


def _live(gateway: FakeGateway, cust_id: str) -> None:
    """Let the customer be asked for in every way, and let that go wrong."""
    client, at = gateway.unjudged, f"{CUSTOMERS}/{cust_id}"
    client.put(at, json=inputs())
    client.post(CUSTOMERS, json=body(cust_id))
    client.post(f"{CUSTOMERS}/batch", json={"customers": [body(cust_id), body(cust_id)]})
    client.patch(at, json={cust_id: 1, "BALANCE": cust_id})
    client.put(at, data=f'{{"{cust_id}": 1, "{cust_id}": 2}}', content_type="application/json")
    client.put(at, json=inputs(), headers={"If-Match": f'"{cust_id}"'})
    for path in ("", "/segment", "/history", "/nothing", f"?{cust_id}=1"):
        client.get(at + path, headers={"Authorization": f"Bearer {cust_id}"} if path == "/segment" else {})
    client.get(f"/api/v1/erasures?CUST_ID={cust_id}")
    client.get(f"{CUSTOMERS}?cursor={cust_id}&CUST_ID={cust_id}")
    for error in _failing(cust_id):
        gateway.store.failure = error
        for method in ("GET", "DELETE"):
            client.open(at, method=method)
    gateway.store.failure = None
    client.delete(at)
    client.post(f"{at}/restore")
    client.delete(f"{at}?erase=true")


@settings(max_examples=5)
@given(CUST_IDS)
def test_no_line_names_the_customer_and_its_own_have_the_digest(cust_id: str) -> None:
    lines: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_write", lines.append)
        _live(FakeGateway(), cust_id)
    said: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [line for line in lines if cust_id.encode() in line] == []
    of_customer = [line for line in said if line.get("customer") == log_digest(Settings().secret_key)(cust_id)]
    assert {line["route"] for line in of_customer} >= {
        f"{CUSTOMERS}/{{CUST_ID}}{part}" for part in ("", "/segment", "/history", "/restore")
    }
    assert {line["status"] for line in of_customer} >= {200, 401, 404, 409, 412, 422, 500}
    assert any("KeyError" in line.get("exception", "") for line in said)
