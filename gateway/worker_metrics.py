"""What the worker tells Prometheus: how it stands with what its duties see to.

The worker looks every few seconds (a duty of its own, `Figures`), and whoever reads the metrics gets what it saw last:
that costs no look at the database, and is there while the database or the model service is away. What is an age or a
duration is counted up to the moment of the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prometheus_client import REGISTRY, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.services.assignments.status import AssignmentsStatus, AssignmentsStatusService
from gateway.services.clock import now
from gateway.services.errors import SegmentsBeingCounted
from gateway.services.events.audit import AuditService
from gateway.services.events.log import AuditFilters
from gateway.services.models.descriptions import ModelDescriptions
from gateway.services.models.drift_watch import VERDICTS, DriftCheck, DriftWatch
from gateway.services.models.segment_snapshots import SegmentSizes, Snapshot

LOOK_SECONDS: Final = 5.0
"""How old what is shown may be."""
_ACTIVATED: Final = ("model.activated", "model.rolled_back")
_LAST_ENTRIES: Final = 20
_STATES: Final = ("fresh", "computing", "failed")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the worker saw last."""

    status: AssignmentsStatus
    snapshot: Snapshot | None
    version: str | None
    activated_at: datetime | None
    drift: DriftCheck | None


class Figures:
    """Looks again and again, and shows what it has seen: a duty of the worker, and a collector of prometheus_client."""

    def __init__(
        self,
        status: AssignmentsStatusService,
        sizes: SegmentSizes,
        descriptions: ModelDescriptions,
        audit: AuditService,
        drift: DriftWatch,
    ) -> None:
        self._status = status
        self._sizes = sizes
        self._descriptions = descriptions
        self._audit = audit
        self._drift = drift
        self._seen: Seen | None = None

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Look once. Nothing is counted: documents by their ids, and what waits by its index, up to some thousands.

        Raises
        ------
        StoreError
        """
        known = self._descriptions.last_known()
        version = known.version if known else None
        self._seen = Seen(
            status=self._status.status(),
            snapshot=self._snapshot(),
            version=version,
            activated_at=self._activated_at(version) if version else None,
            drift=self._drift.latest(),
        )
        return 1

    def _snapshot(self) -> Snapshot | None:
        try:
            return self._sizes.now().snapshot
        except SegmentsBeingCounted:
            return None

    def _activated_at(self, version: str) -> datetime | None:
        found = self._audit.page(AuditFilters(subject=version), None, _LAST_ENTRIES).items
        return next((entry["at"] for entry in found if entry["action"] in _ACTIVATED), None)

    def collect(self) -> Iterable[Metric]:
        """Show what was seen last."""
        seen = self._seen
        if seen is not None:
            yield from _of_rescoring(seen)
            yield from _of_webhooks(seen)
            yield from _of_snapshot(seen)
            yield from _of_model(seen)
            yield from _of_drift(seen.drift)


def _of_rescoring(seen: Seen) -> Iterator[Metric]:
    rescoring, relay = seen.status["rescoring"], seen.status["relay"]
    stood = _age(rescoring["since"]) if rescoring["state"] == "standing_still" else 0.0
    yield _gauge("rescoring_left", "Customers that the active model has still to score.", rescoring["left"])
    yield _gauge("rescoring_standstill_seconds", "How long scoring has stood still; 0 if it does not.", stood)
    yield _gauge("relay_waiting", "Changes that are not in the change log yet.", relay["waiting"])
    yield _gauge("relay_oldest_seconds", "How long the oldest of them has waited.", _age(relay["oldest"]))


def _of_webhooks(seen: Seen) -> Iterator[Metric]:
    found = seen.status["deliveries"]
    webhooks = GaugeMetricFamily("segmentation_webhooks", "Webhooks, by their status.", labels=["status"])
    for status, number in (("active", found["active"]), ("paused", found["paused"]), ("disabled", found["disabled"])):
        webhooks.add_metric([status], number)
    yield webhooks
    failing = "How long the worst active webhook has had nothing accepted; 0 if none fails."
    yield _gauge("webhook_failing_seconds", failing, _age(found["since"]))
    yield _gauge("webhook_behind", "Entries of the log that one has still to go through.", found["behind"])


def _of_snapshot(seen: Seen) -> Iterator[Metric]:
    snapshot, state = seen.snapshot, seen.status["snapshots"]["state"]
    sizes = GaugeMetricFamily("segmentation_customers", "Customers in a segment.", labels=["segment"])
    if snapshot is not None:
        for segment in snapshot.segments():
            sizes.add_metric([segment], snapshot.of_segment(segment).size)
        yield _gauge("customers_pending", "Customers that have no segment.", snapshot.pending)
        yield _gauge("snapshot_age_seconds", "How long ago the customers were counted.", _age(snapshot.as_of))
    yield sizes
    yield _one_of("snapshot_state", "How it stands with counting the customers.", "state", _STATES, state)


def _of_model(seen: Seen) -> Iterator[Metric]:
    active = GaugeMetricFamily("segmentation_active_model_info", "The active version of the model.", labels=["version"])
    if seen.version:
        active.add_metric([seen.version], 1)
    yield active
    if seen.activated_at:
        at = _timestamp(seen.activated_at)
        yield _gauge("model_activated_timestamp_seconds", "When it was activated.", at)


def _of_drift(check: DriftCheck | None) -> Iterator[Metric]:
    found = check.verdict if check else None
    yield _one_of("drift_verdict", "Whether the customers are still those of the training.", "verdict", VERDICTS, found)
    indexes = GaugeMetricFamily(
        "segmentation_drift_index", "Population stability index against the training.", labels=["feature"]
    )
    if check:
        for feature, index in check.indexes.items():
            indexes.add_metric([feature], index)
        yield _gauge("drift_checked_timestamp_seconds", "When that was looked at.", _timestamp(check.at))
    yield indexes


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """Return a metric with one value, or without any where it is not known."""
    return GaugeMetricFamily(f"segmentation_{name}", text, value=value)


def _one_of(name: str, text: str, label: str, values: Iterable[str], true: str | None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"segmentation_{name}", text, labels=[label])
    for value in values:
        family.add_metric([value], value == true)
    return family


def _age(since: datetime | None) -> float:
    return max(0.0, (now() - since).total_seconds()) if since else 0.0


def _timestamp(at: datetime) -> float:
    return at.replace(tzinfo=UTC).timestamp()


def serve_metrics(host: str, port: int, figures: Collector) -> None:
    """Let Prometheus read this process's metrics and these figures on a port of its own.

    Raises
    ------
    OSError
        when the port is taken.
    """
    REGISTRY.register(figures)
    start_http_server(port, host)
