"""HEAD is GET without the body, OPTIONS names the methods and asks nobody who they are: on every address."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.registry import OLD
from support.addresses import routes_of
from support.customers import body

from gateway import wiring
from gateway.controllers.service import FILES
from gateway.services.models import descriptions, segment_snapshots, transitions
from shared.problems import REQUEST_ID_HEADER

EXAMPLES = {"cust_id": "C1", "segment_id": "seg-01", "version": OLD, "kind": "svg", "name": "elbow", "file": min(FILES)}


def _addresses(method: str) -> list[str]:
    """Every address that knows the method; where nothing is known to be there, both methods must say so alike."""
    found = set()
    for rule, route in routes_of(FakeGateway().app):
        if route.method == method:
            names = r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>"
            found.add(re.sub(names, lambda part: EXAMPLES.get(part[1], "x1"), rule))
    return sorted(found)


@pytest.fixture(autouse=True)
def _at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock stand still where an answer shows it: its length must not depend on the moment."""
    for module in (descriptions, segment_snapshots, transitions):
        monkeypatch.setattr(module, "now", lambda: datetime(2026, 1, 1))
    monkeypatch.setattr(wiring, "metrics_text", lambda: b"answered_total 1\n")  # or it would count these requests


@pytest.mark.parametrize("address", _addresses("GET"))
def test_head_is_get_without_the_body(gateway: FakeGateway, address: str) -> None:
    gateway.client.post(CUSTOMERS, json=body())
    gateway.count_segments()
    sent = {REQUEST_ID_HEADER: "the-same"}
    read, asked = gateway.client.get(address, headers=sent), gateway.client.head(address, headers=sent)
    assert (asked.status_code, asked.data) == (read.status_code, b"")
    assert _told(asked.headers) == _told(read.headers)


def _told(headers: object) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if not name.lower().startswith("ratelimit")}


def test_head_of_a_customer_has_its_etag_and_length(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body())
    asked = gateway.client.head(f"{CUSTOMERS}/C1")
    assert int(asked.headers["Content-Length"]) == len(gateway.client.get(f"{CUSTOMERS}/C1").data)
    unchanged = gateway.client.head(f"{CUSTOMERS}/C1", headers={"If-None-Match": asked.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", asked.headers["ETag"])


@pytest.mark.parametrize("address", sorted({*_addresses("GET"), *_addresses("POST")}))
def test_options_needs_no_key_and_runs_nothing(gateway: FakeGateway, address: str) -> None:
    before = dict(gateway.store.customers)
    answer = gateway.anonymous.options(f"{address}?unknown=1", json={"not": "a customer"})
    assert answer.status_code == 200
    assert {"OPTIONS"} < set(answer.headers["Allow"].split(", "))
    assert gateway.store.customers == before
