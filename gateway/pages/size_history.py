"""The sizes of the segments over time, as a chart for the overview and for the segments' own pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from gateway.pages.charts import Series, TimeLines, time_lines
from gateway.services.clock import now
from gateway.services.models.segment_snapshots import SegmentSizes, SizesPoint, Step

_PERIODS: Final = (
    (Step.DAY, timedelta(days=90)),
    (Step.HOUR, timedelta(days=3)),
    (Step.MINUTE, timedelta(hours=3)),
)
_ENOUGH: Final = 4
"""Points from which on a step shows how it went; below, a finer one is looked at."""
_MOST: Final = 200
_MOST_OF_THEM: Final = 0.9
"""Of the customers who are stored now: when so many were, they had come in."""


Former = Callable[[Iterable[str]], Mapping[str, str]]
"""Returns how to show segments that are gone, by id (`FormerNames`)."""


def size_history(
    sizes: SegmentSizes, names: Mapping[str, str], former: Former, only: str | None = None
) -> TimeLines | None:
    """Return how many customers each segment had in the last three months, or since there is anything to say.

    Parameters
    ----------
    names : what the model's segments are called, by id.
    former : says what those are called that are gone.
    only : the one segment that it is about.

    Returns
    -------
    None as long as the sizes have been counted no more than once.

    Raises
    ------
    StoreError
    """
    at = now()
    points, since = _points(sizes, at)
    if len(points) < 2:
        return None
    others = [] if only else sorted({size["id"] for point in points for size in point["segments"]} - names.keys())
    gone = former(others)
    shown = [only] if only else [*names, *others]
    title = "Customers in the segment over time" if only else "Customers in each segment over time"
    called = {**names, **gone}
    series = [Series(called.get(each, each), _sizes(points, each), each, each in gone) for each in shown]
    return time_lines("sizes", title, series, max(since, points[0]["as_of"]), at)


def told_since(sizes: SegmentSizes, since: datetime) -> datetime:
    """Return from when moves say something: the time itself, or where nobody was stored then, when most had come in.

    Everybody who came in later is in their first segment by having come, not by a move, whatever happened meanwhile.

    Raises
    ------
    StoreError
    """
    before = sizes.page(Step.HOUR, since, None, None, 1).items
    if not before or (before[0]["as_of"] <= since and before[0]["customers"]):
        return since
    points = [each for step in Step for each in sizes.page(step, since, None, None, _MOST).items]
    placed = {point["as_of"]: point["customers"] - point["pending"] for point in points}
    enough = _MOST_OF_THEM * placed[max(placed)]
    return min((each for each, customers in placed.items() if customers and customers >= enough), default=since)


def _points(sizes: SegmentSizes, at: datetime) -> tuple[list[SizesPoint], datetime]:
    """Return the points of the coarsest step that has enough of them, or of the one that has most, and since when."""
    best: tuple[list[SizesPoint], datetime] = [], at
    for step, period in _PERIODS:
        points = sizes.page(step, at - period, None, None, _MOST).items
        if len(points) > len(best[0]):
            best = points, at - period
        if len(points) >= _ENOUGH:
            break
    return best


def _sizes(points: list[SizesPoint], segment: str) -> list[tuple[datetime, float]]:
    """Return the sizes of one segment; nobody in it is 0."""
    return [(p["as_of"], {size["id"]: size["size"] for size in p["segments"]}.get(segment, 0)) for p in points]
