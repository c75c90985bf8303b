"""``GET /alerts``: each thing that needs attention is said once, in words, and nothing where all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from support.customers import body
from support.problems import assert_problem

from gateway.services.alerts import BEHIND, AlertCode, AlertService
from gateway.services.assignments.reports import Report
from gateway.services.assignments.rescorings import WORKER_TIMEOUT
from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.models.segment_snapshots import Comparison
from shared.model_contract import Drift, FeatureDrift

ALERTS = "/api/v1/alerts"
AT = datetime(2030, 5, 1, 12)


def found(gateway: FakeGateway) -> dict[str, Any]:
    answer = gateway.client.get(ALERTS)
    assert answer.status_code == 200
    return {alert["code"]: alert for alert in answer.get_json()["items"]}


@pytest.fixture
def gateway() -> FakeGateway:
    """A gateway in which all is well."""
    gateway = FakeGateway()
    gateway.workers.report("one", Report("idle", AT, None, "v1", "event-1", 0))
    gateway.count_segments()
    return gateway


def drift(verdict: Any, version: str = "v1") -> Drift:
    features = [
        FeatureDrift(feature=name, psi=psi, limit=0.1, bins=10, tier="material")
        for name, psi in (("TENURE", 0.1), ("PURCHASES", 0.4), ("A_FORMER_COLUMN", 0.2), ("BALANCE", 0.3))
    ]
    return Drift(
        model_version=version,
        verdict=verdict,
        rows=1000,
        minimum_rows=500,
        as_of="2030-01-01T00:00:00Z",
        features=features,
        segment_mix=None,
        distance=None,
        remarks=[],
    )


def test_nothing_where_all_is_well(gateway: FakeGateway) -> None:
    gateway.drift.keep(drift("stable"))
    assert found(gateway) == {}


def _model_away(gateway: FakeGateway) -> None:
    gateway.model.failure = DOWN


def _stands_still(gateway: FakeGateway) -> None:
    gateway.workers.report("one", Report("standing_still", AT, "They lack TENURE.", "v1", "event-1", 1200))


def _gone(gateway: FakeGateway) -> None:
    gateway.workers.silent = WORKER_TIMEOUT


def _waiting(gateway: FakeGateway) -> None:
    gateway.model.failure = DOWN
    gateway.client.post("/api/v1/customers", json=body("A"))
    gateway.model.failure = None
    gateway.count_segments()


def _behind(gateway: FakeGateway) -> None:
    gateway.client.post("/api/v1/customers", json=body("A"))
    for customer in gateway.store.customers.values():
        customer["outbox"][0]["at"] = now() - BEHIND - timedelta(seconds=1)


def _not_counted(gateway: FakeGateway) -> None:
    gateway.snapshots.note("test", "failed", "The database refuses.")


def _disagree(gateway: FakeGateway) -> None:
    said = ["pending: 1 in the snapshot, 2 in the list"]
    gateway.snapshots.note_comparison("test", Comparison(at=AT, as_of=AT, agrees=False, differences=said))


def _file(gateway: FakeGateway, status: str, *, dry_run: bool = False) -> None:
    target = f"/api/v1/imports{'?dry_run=true' if dry_run else ''}"
    row = body("A")
    text = "\n".join(",".join(map(str, line)) for line in (row, row.values()))
    receipt = gateway.client.post(target, data=text, content_type="text/csv").get_json()
    gateway.count_segments()
    record = gateway.imports.records[receipt["id"]]
    record |= {"status": status, "rows": 1234, "reason": "The disk is full.", "finished_at": AT}


def _webhook(gateway: FakeGateway, **changes: Any) -> None:
    url = {"url": "https://crm.example.com/hook"}
    made = gateway.client.post("/api/v1/webhooks", json=url)
    assert made.status_code == 201, made.text
    gateway.logged()
    webhook = gateway.webhooks.webhooks[made.get_json()["id"]]
    gateway.webhooks.webhooks[webhook.id] = replace(webhook, **changes)


CASES: dict[AlertCode, tuple[Callable[[FakeGateway], None], str, str, str]] = {
    "model_service_away": (_model_away, "critical", "get their segment when it is back", "/models"),
    "no_worker": (_gone, "critical", "No worker has reported since", "/overview"),
    "rescoring_standing_still": (
        _stands_still,
        "warning",
        "1,200 customers are left. They lack TENURE.",
        "/overview",
    ),
    "customers_waiting": (_waiting, "info", "The worker is about to", "/customers?segment_status=pending"),
    "change_log_behind": (_behind, "warning", "1 changes wait", "/overview"),
    "sizes_not_counted": (_not_counted, "warning", "The database refuses.", "/segments"),
    "sizes_disagree": (_disagree, "warning", "pending: 1 in the snapshot", "/segments"),
    "drift_watch": (
        lambda gateway: gateway.drift.keep(drift("watch")),
        "info",
        "purchases in 12 months, average balance owed, A_FORMER_COLUMN.",
        "/models",
    ),
    "drift_retrain": (lambda gateway: gateway.drift.keep(drift("retrain")), "warning", "Train a new model", "/models"),
    "import_failed": (lambda gateway: _file(gateway, "failed"), "warning", "1,234 rows: The disk is full", "/imports/"),
    "import_interrupted": (lambda gateway: _file(gateway, "interrupted"), "warning", "sending the file again", "/imp"),
    "webhooks_failing": (
        lambda gateway: _webhook(gateway, failing_since=AT),
        "warning",
        "1 webhook does not accept",
        "/settings/webhooks",
    ),
    "webhooks_disabled": (
        lambda gateway: _webhook(gateway, status="disabled"),
        "warning",
        "1 webhook is not delivered to",
        "/settings/webhooks",
    ),
}


@pytest.mark.parametrize("code", CASES)
def test_says_what_is_the_matter(gateway: FakeGateway, code: AlertCode) -> None:
    bring_about, severity, words, page = CASES[code]
    bring_about(gateway)
    alerts = found(gateway)
    assert list(alerts) == [code]
    assert alerts[code]["severity"] == severity
    assert words in alerts[code]["detail"]
    assert alerts[code]["page"].startswith(page)


def test_says_what_only_the_health_check_knows(gateway: FakeGateway) -> None:
    served = gateway.model.status
    gateway.model.status = lambda: served()._replace(  # type: ignore[method-assign]
        fallback="Version v2 is damaged.", labels="The file is damaged.", removed=["COLOUR"]
    )
    gateway.schema.lacking = ["customers: index CUST_ID"]
    alerts = found(gateway)
    assert list(alerts) == ["model_fallback", "labels_damaged", "features_differ", "schema_incomplete"]
    assert "COLOUR" in alerts["features_differ"]["detail"]
    assert {*CASES, *alerts} == set(get_args(AlertCode)), "each is tried"


def test_says_why_customers_wait(gateway: FakeGateway) -> None:
    _waiting(gateway)
    _stands_still(gateway)
    alert = found(gateway)["customers_waiting"]
    assert (alert["severity"], alert["title"]) == ("warning", "1 customer waits for a segment")
    assert alert["detail"] == "They lack TENURE."
    assert alert["since"] == "2030-05-01T12:00:00Z"


def test_the_most_urgent_is_first(gateway: FakeGateway) -> None:
    gateway.drift.keep(drift("watch"))
    _not_counted(gateway)
    _gone(gateway)
    assert [alert["severity"] for alert in found(gateway).values()] == ["critical", "warning", "info"]


def test_a_check_of_another_model_says_nothing_of_this_one(gateway: FakeGateway) -> None:
    gateway.drift.keep(drift("retrain", "v0"))
    assert found(gateway) == {}


def test_a_dry_run_that_failed_is_nobodys_concern(gateway: FakeGateway) -> None:
    _file(gateway, "failed", dry_run=True)
    assert found(gateway) == {}


def test_before_anything_was_counted(gateway: FakeGateway) -> None:
    gateway = FakeGateway()
    gateway.client.post("/api/v1/customers", json=body("A"))
    assert set(found(gateway)) == {"no_worker", "sizes_not_counted"}


def test_without_the_database_nothing_is_known(gateway: FakeGateway) -> None:
    gateway.workers.failure = StoreUnavailable("The database cannot be reached.")
    assert_problem(gateway.client.get(ALERTS), 503, "store_unavailable")


def test_nothing_is_counted_for_it(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("count", "segment_counts", "stream", "rows"):
        monkeypatch.setattr(gateway.store, name, lambda *_, **__: pytest.fail("customers are counted"))
    alerts: AlertService = gateway.services.alerts
    assert alerts.now()["items"] == []
