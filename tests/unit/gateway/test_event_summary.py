"""``GET /events/summary``: what has changed lately, in counts and digests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, SEGMENTS, FakeGateway
from fakes.registry import NEW
from support.customers import body
from support.problems import assert_problem

from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.events import summaries
from gateway.services.events.log import Memory

SUMMARY = "/api/v1/events/summary"


@pytest.fixture
def gateway() -> FakeGateway:
    """A gateway whose log goes back for years."""
    gateway = FakeGateway()
    gateway.changes.kept = Memory(0, now() - timedelta(days=400), now())
    return gateway


def summary(gateway: FakeGateway, query: str = "") -> Any:
    gateway.logged()
    answer = gateway.client.get(SUMMARY + query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_counts_customers_and_lists_digests_newest_first(gateway: FakeGateway) -> None:
    for name in "ABC":
        gateway.client.post(CUSTOMERS, json=body(name))
    gateway.client.patch(f"{CUSTOMERS}/A", json={"BALANCE": 5})
    gateway.client.delete(f"{CUSTOMERS}/B")
    gateway.logged()
    gateway.client.post(f"/api/v1/models/{NEW}/activate", json={"reason": "quarterly", "by": "ann"})
    gateway.count_segments()
    gateway.client.patch(f"{SEGMENTS}/seg-01", json={"owner": "Lending"})
    found = summary(gateway)
    assert found["counts"] == {
        "customer.created": 3,
        "customer.updated": 1,
        "customer.deleted": 1,
        "customer.restored": 0,
        "customer.erased": 0,
    }
    assert [item["type"] for item in found["items"]] == ["segment.relabelled", "model.activated"]
    assert found["items"][1]["data"]["reason"] == "quarterly"
    assert "actor" not in found["items"][1], "who did it is for those who may read the audit trail"


def test_the_last_week_unless_somebody_says(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body("A"))
    gateway.client.post(CUSTOMERS, json=body("B"))
    gateway.logged()
    gateway.changes.entries[1]["at"] = now() - timedelta(days=8)
    assert summary(gateway)["counts"]["customer.created"] == 1
    long_ago = f"{(now() - timedelta(days=30)).isoformat()}Z"
    assert summary(gateway, f"?since={long_ago}")["counts"]["customer.created"] == 2


def test_goes_back_no_further_than_the_log(gateway: FakeGateway) -> None:
    began = now() - timedelta(hours=1)
    gateway.changes.kept = Memory(0, began, began)
    assert summary(gateway)["since"].startswith(began.isoformat(timespec="seconds"))


def test_counting_stops_somewhere(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "MOST", 2)
    for name in "ABC":
        gateway.client.post(CUSTOMERS, json=body(name))
    assert summary(gateway)["counts"]["customer.created"] == 2


def test_a_time_to_come_is_refused(gateway: FakeGateway) -> None:
    for since in ("2999-01-01T00:00:00Z", "yesterday"):
        assert_problem(gateway.client.get(f"{SUMMARY}?since={since}"), 422, "validation_failed", ["?since"])


def test_needs_the_database(gateway: FakeGateway) -> None:
    gateway.changes.failure = StoreUnavailable("The database cannot be reached.")
    assert_problem(gateway.client.get(SUMMARY), 503, "store_unavailable")
