"""The first page: who the customers are, what has changed, whether everything is in order; and what needs attention.

Each part is asked for on its own: what cannot be had says so in its place, and the rest is there all the same. Nothing
here counts or goes through customers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from flask import Response, g

from gateway.pages.changes_in_words import changes_in_words
from gateway.pages.charts import TimeLines
from gateway.pages.rendering import page
from gateway.pages.size_history import Former, size_history, told_since
from gateway.pages.split import Split, split_of
from gateway.services.alerts import AlertService
from gateway.services.assignments.status import AssignmentsStatusService
from gateway.services.clock import now
from gateway.services.errors import SegmentationError
from gateway.services.events.summaries import PERIOD, ChangeSummaryService
from gateway.services.imports.sample import SampleService
from gateway.services.models.drift_watch import DriftCheck
from gateway.services.models.segment_snapshots import SegmentSizes, Sizes, Step
from gateway.services.models.segments import SegmentList, SegmentService
from gateway.services.principal import Principal, Scope

FEW: Final = 100_000
"""Customers up to whom the page looks up by itself who moved, and whether the sample is among them.

Of more it can take seconds, so that somebody has to want it.
"""
_DAY: Final = timedelta(days=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of the page: what it shows, or in words why that cannot be had; neither where the key may not see it."""

    value: T | None = None
    trouble: str | None = None


class OverviewController:
    """What one looks at first.

    Parameters
    ----------
    drift : returns what was found last.
    former : says what segments are called that the model does not have any more.
    """

    def __init__(
        self,
        segments: SegmentService,
        sizes: SegmentSizes,
        summaries: ChangeSummaryService,
        assignments: AssignmentsStatusService,
        drift: Callable[[], DriftCheck | None],
        alerts: AlertService,
        sample: SampleService,
        former: Former,
    ) -> None:
        self._segments = segments
        self._sizes = sizes
        self._summaries = summaries
        self._assignments = assignments
        self._drift = drift
        self._alerts = alerts
        self._sample = sample
        self._former = former

    def show(self) -> Response:
        """GET /overview."""
        sizes = _part(Scope.MODELS_READ, self._sizes.now)
        segments = _part(Scope.MODELS_READ, self._segments.list)
        names = _names(segments.value)
        week = _part(Scope.MODELS_READ, lambda: changes_in_words(self._summaries.since(), names))
        history = _part(Scope.MODELS_READ, lambda: size_history(self._sizes, names, self._former))
        return page(
            "overview.html",
            sizes=sizes,
            segments=segments,
            split=_part(Scope.MODELS_READ, lambda: self._split(sizes.value, names)),
            names=names | _gone(history.value),
            growth=_part(Scope.MODELS_READ, lambda: self._growth(sizes.value)),
            history=history,
            week=week,
            told=_part(Scope.MODELS_READ, lambda: week.value and told_since(self._sizes, week.value.since)),
            background=_part(Scope.CUSTOMERS_READ, self._assignments.status),
            drift=_part(Scope.MODELS_READ, self._drift),
            alerts=_part(Scope.MODELS_READ, self._alerts.now),
            moves_at_once=FEW,
            of_sample=_part(Scope.CUSTOMERS_WRITE, lambda: self._of_sample(sizes.value)),
        )

    def _of_sample(self, sizes: Sizes | None) -> int:
        """Return how many of the sample's customers are stored, where that is quickly known."""
        stored = sizes.snapshot.assigned + sizes.snapshot.pending if sizes else 0
        return self._sample.state()["customers"] if 0 < stored <= FEW else 0

    def _split(self, sizes: Sizes | None, names: Mapping[str, str]) -> Split | None:
        return split_of(sizes.snapshot, names, self._former) if sizes and names else None

    def alerts(self) -> Response:
        """GET /settings/alerts."""
        return page("alerts.html", alerts=self._alerts.now())

    def _growth(self, sizes: Sizes | None) -> int | None:
        """Return how many customers there are more than a week ago; None where it is not known how many these were."""
        since = now() - PERIOD
        points = self._sizes.page(Step.DAY, since, since + _DAY, None, 1).items
        if sizes is None or not points or points[0]["as_of"] > since:
            return None
        return sizes.snapshot.assigned + sizes.snapshot.pending - points[0]["customers"]


def _part(scope: Scope, ask: Callable[[], T]) -> Part[T]:
    principal: Principal = g.principal
    if not principal.may(scope):
        return Part()
    try:
        return Part(ask())
    except SegmentationError as error:
        return Part(trouble=str(error))


def _names(segments: SegmentList | None) -> dict[str, str]:
    items: list[Any] = [*segments["items"]] if segments else []
    return {item["id"]: item["name"] for item in items}


def _gone(history: TimeLines | None) -> dict[str, str]:
    """Return what segments are called that the model does not have any more; somebody was in them lately."""
    lines = [line.series for line in history.lines] if history else []
    return {each.segment: each.name for each in lines if each.gone}
