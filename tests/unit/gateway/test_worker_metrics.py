"""What the worker tells Prometheus: its duties, and what they see to, also while others are away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from contracts.drift import found
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN
from fakes.registry import NEW
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.customers import body
from support.served_model import SwitchedRegistry

from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.models.descriptions import Description
from gateway.worker import Counted, attempt
from gateway.worker_metrics import Figures


def of(gateway: FakeGateway) -> Figures:
    services = gateway.services
    segments = services.segments
    return Figures(
        services.assignments.status, segments.sizes, segments.descriptions, services.audit, services.models.drift
    )


def shown(figures: Figures) -> Callable[..., float | None]:
    """Return what looks a value up; None where it is not shown."""
    registry = CollectorRegistry()
    registry.register(figures)
    values: dict[Any, float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        values |= {(sample.name, frozenset(sample.labels.items())): sample.value for sample in family.samples}
    return lambda name, **labels: values.get((f"segmentation_{name}", frozenset(labels.items())))


def test_before_the_first_look_nothing_is_claimed() -> None:
    assert [*of(FakeGateway()).collect()] == []


def test_of_a_new_system_nothing_is_made_up() -> None:
    figures = of(FakeGateway())
    figures.run_once()
    value = shown(figures)
    assert value("customers_pending") == value("relay_waiting") == value("relay_oldest_seconds") == 0
    assert [value("drift_verdict", verdict=each) for each in ("stable", "watch", "retrain", "not_enough_data")] == [
        0
    ] * 4
    assert value("drift_checked_timestamp_seconds") is value("model_activated_timestamp_seconds") is None


@pytest.fixture
def gateway() -> FakeGateway:
    """A gateway with customers in a segment and pending ones, an active model and a check for drift."""
    gateway = FakeGateway()
    gateway.client.post(CUSTOMERS, json=body("A", BALANCE=1.0))
    gateway.model.failure = DOWN
    gateway.client.post(CUSTOMERS, json=body("B"))
    gateway.client.post(CUSTOMERS, json=body("C"))
    gateway.count_segments()
    gateway.descriptions.keep(Description("v1", [], now()))
    gateway.drift.keep(found())
    return gateway


def test_what_the_duties_see_to(gateway: FakeGateway) -> None:
    figures = of(gateway)
    figures.run_once()
    value = shown(figures)
    assert value("customers", segment="seg-01") == 1
    assert value("customers_pending") == 2
    assert value("relay_waiting") == 3
    assert [value("snapshot_state", state=state) for state in ("fresh", "computing", "failed")] == [1, 0, 0]
    assert value("active_model_info", version="v1") == 1
    assert [value("webhooks", status=each) for each in ("active", "paused", "disabled")] == [0, 0, 0]
    assert value("webhook_failing_seconds") == value("webhook_behind") == 0
    assert [value("drift_verdict", verdict=each) for each in ("stable", "watch")] == [0, 1]
    assert value("drift_index", feature="BALANCE") == 0.25
    assert value("drift_checked_timestamp_seconds") == pytest.approx(now().timestamp(), abs=3600 * 24)


def test_when_the_model_was_activated_is_in_the_log() -> None:
    gateway = FakeGateway(registry=SwitchedRegistry())
    assert gateway.client.post(f"/api/v1/models/{NEW}/activate", json={}).status_code == 200
    gateway.services.relay.run_once()
    gateway.descriptions.keep(Description(NEW, [], now() + timedelta(seconds=1)))
    figures = of(gateway)
    figures.run_once()
    assert shown(figures)("model_activated_timestamp_seconds") is not None


def test_what_was_seen_last_is_shown_while_the_database_is_away(gateway: FakeGateway) -> None:
    figures = of(gateway)
    figures.run_once()
    gateway.snapshots.failure = gateway.descriptions.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        figures.run_once()
    assert shown(figures)("customers_pending") == 2


def test_a_standstill_is_timed(gateway: FakeGateway) -> None:
    figures = of(gateway)
    gateway.services.assignments.reconciler._reporter.standing_still("away", 2)
    figures.run_once()
    value = shown(figures)
    assert value("rescoring_left") == 2
    assert value("rescoring_standstill_seconds") >= 0


def test_duties_are_counted_by_how_they_end() -> None:
    class Duty:
        failure: Exception | None = None

        def run_once(self, heartbeat: object) -> int:
            if self.failure:
                raise self.failure
            return 0

    duty = Duty()
    counted = Counted(duty, "test")

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"duty": "test", **labels}) or 0

    began = value("worker_duty_last_success_timestamp_seconds")
    duty.failure = StoreUnavailable("away")
    attempt([counted], lambda: None)
    assert value("worker_duty_last_success_timestamp_seconds") == began > 0
    duty.failure = None
    attempt([counted, counted], lambda: None)
    assert value("worker_duty_runs_total", outcome="failed") == 1
    assert value("worker_duty_runs_total", outcome="done") == 2
    assert value("worker_duty_last_success_timestamp_seconds") > began
