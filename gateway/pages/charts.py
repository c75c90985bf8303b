"""Time lines as inline SVG: geometry here, markup in `templates/charts.html`.

Coordinates are percentages of the place that the chart has, and only the lines are stretched: text is as large on a
phone as on a desk, without a script and without styles in tags. The values stand in a table beneath, for everybody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.typography import number

WIDTH: Final = 1000.0
"""Of the stretched lines, in their own units."""
HEIGHT: Final = 100.0
"""Of the lines, from nothing at the foot to the highest tick, in their own units."""
_MOST_TICKS: Final = 4
_IN_DAYS: Final = timedelta(days=2)
_MOST_ROWS: Final = 40


@dataclass(frozen=True, slots=True)
class Series:
    """One line: values from their times on, oldest first; each holds until the next, the last one until the end.

    Attributes
    ----------
    segment : the id of the segment that it is about; the line has its colour, and the name leads to its page.
    gone : whether the model does not have that segment any more, so that it has no page.
    """

    name: str
    points: Sequence[tuple[datetime, float]]
    segment: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis: its place, in percent from the left or from the foot, and what it says.

    Attributes
    ----------
    moment : of the time axis, which the browser puts into the time zone of whoever looks.
    """

    at: float
    text: str
    moment: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is ready to be drawn; `latest` is its last value in words."""

    series: Series
    path: str
    latest: str


@dataclass(frozen=True, slots=True)
class TimeLines:
    """A chart that is ready for the macro ``time_lines`` of `templates/charts.html`.

    Attributes
    ----------
    lines : the highest at the end first, so that the legend has their order.
    levels, days : the ticks of the two axes.
    rows : of the table: the last moments, newest first, and what each line was then, in words.
    """

    id: str
    title: str
    description: str
    lines: Sequence[Line]
    levels: Sequence[Tick]
    days: Sequence[Tick]
    rows: Sequence[tuple[datetime, Sequence[str]]]


def time_lines(
    id: str,  # noqa: A002 - that is what it is in the page
    title: str,
    series: Sequence[Series],
    since: datetime,
    until: datetime,
    write: Callable[[float], str] = number,
) -> TimeLines:
    """Return a chart of values over time, from 0 on, which hold until the next one.

    Parameters
    ----------
    since, until : the ends of the time axis; a value of before still holds at the first.
    write : writes a value for people.
    """
    shown = sorted(
        (_within(each, since, until) for each in series), key=lambda each: -(each.points[-1][1] if each.points else 0)
    )
    step, most = _scale(max((value for each in shown for _, value in each.points), default=0))
    seconds = max((until - since).total_seconds(), 1.0)
    lines = [Line(each, _path(each, since, seconds, most), _latest(each, write)) for each in shown]
    ended = [f"{line.series.name}: {line.latest}" for line in lines]
    return TimeLines(
        id=id,
        title=title,
        description=f"From {_moment(since, seconds)} to {_moment(until, seconds)}. At the end: {'; '.join(ended)}.",
        lines=lines,
        levels=[Tick(level * step / most * HEIGHT, write(level * step)) for level in range(round(most / step) + 1)],
        days=[_day(part, since + (until - since) * part, seconds) for part in (0.0, 0.5, 1.0)],
        rows=_rows(shown, write),
    )


def _within(series: Series, since: datetime, until: datetime) -> Series:
    """Return what is to be seen: what held at the beginning stands there."""
    before = [value for at, value in series.points if at <= since][-1:]
    points = [(since, value) for value in before]
    points += [(at, value) for at, value in series.points if since < at <= until]
    return replace(series, points=points)


def _scale(most: float) -> tuple[float, float]:
    """Return a round step between the levels of an axis, and the highest level, which is no lower than `most`."""
    least = most / _MOST_TICKS
    if least <= 0:
        return 1.0, 1.0
    power = 10.0 ** math.floor(math.log10(least))
    step = next(round_ * power for round_ in (1, 2, 5, 10) if round_ * power >= least)
    return step, step * max(1, math.ceil(most / step - 1e-9))


def _path(series: Series, since: datetime, seconds: float, most: float) -> str:
    """Return a line of steps: a value holds until the next one."""
    parts = []
    for place, (at, value) in enumerate(series.points):
        x = (at - since).total_seconds() / seconds * WIDTH
        y = HEIGHT - value / most * HEIGHT
        parts.append(f"H{x:.1f}V{y:.2f}" if place else f"M{x:.1f} {y:.2f}")
    return f"{''.join(parts)}H{WIDTH:.0f}" if parts else ""


def _latest(series: Series, write: Callable[[float], str]) -> str:
    return write(series.points[-1][1]) if series.points else "nothing yet"


def _day(part: float, at: datetime, seconds: float) -> Tick:
    return Tick(part * 100, _moment(at, seconds), at.replace(microsecond=0))


def _moment(at: datetime, seconds: float) -> str:
    """Return the day, and with it the time where all of it happened within two days."""
    day = f"{at.day} {at:%b}"
    return day if seconds > _IN_DAYS.total_seconds() else f"{day}, {at:%H:%M} UTC"


def _rows(series: Sequence[Series], write: Callable[[float], str]) -> list[tuple[datetime, Sequence[str]]]:
    """Return what held at each of the last moments, newest first; nothing where a line had not begun."""
    moments = sorted({at for each in series for at, _ in each.points}, reverse=True)[:_MOST_ROWS]
    return [(at, [_at(each, at, write) for each in series]) for at in moments]


def _at(series: Series, moment: datetime, write: Callable[[float], str]) -> str:
    held = [value for at, value in series.points if at <= moment][-1:]
    return write(held[0]) if held else ""
