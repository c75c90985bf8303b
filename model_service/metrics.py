"""What the model service counts and times for Prometheus; docs/operations.md lists all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Counter, Metric
from prometheus_client.core import GaugeMetricFamily

from shared.metrics.requests import RequestMetrics
from shared.metrics.text import harmless

OUTCOMES: Final = ("completed", "failed", "cancelled")

requests: Final = RequestMetrics("model_service", (0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30))
_rows = Counter("model_service_rows_scored_total", "Customers that were scored.")
_trainings = Counter("model_service_trainings_total", "Trainings that have ended.", ["outcome"])
_refusals = Counter("model_service_signature_refusals_total", "Versions that were refused for their signature.")

for _outcome in OUTCOMES:
    _trainings.labels(_outcome)


@harmless
def rows_scored(rows: int) -> None:
    """Count customers that were scored."""
    _rows.inc(rows)


@harmless
def training_ended(outcome: str) -> None:
    """Count a training that has ended."""
    _trainings.labels(outcome).inc()


@harmless
def signature_refused() -> None:
    """Count a version that was refused for its signature."""
    _refusals.inc()


class OfTheStore:
    """What every process of the service knows alike; a collector of prometheus_client.

    Parameters
    ----------
    version : returns the version that serves.
    training : returns whether a training runs.
    """

    def __init__(self, version: Callable[[], str | None], training: Callable[[], bool]) -> None:
        self._version = version
        self._training = training

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        active = GaugeMetricFamily("model_service_active_model_info", "The version that serves.", labels=["version"])
        if version := self._version():
            active.add_metric([version], 1)
        yield active
        running = self._training()
        yield GaugeMetricFamily("model_service_training_running", "Whether a training runs.", value=running)
