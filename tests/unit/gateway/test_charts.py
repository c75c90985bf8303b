"""Time lines: what is drawn where, what is said of it, and what the table beneath holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from contracts.customers import assignment
from fakes.gateway import FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.customers import stored

from gateway.pages.charts import Series, TimeLines, time_lines
from gateway.pages.rendering import _environment
from gateway.pages.size_history import size_history, told_since
from gateway.services.clock import now

NOON = datetime(2026, 3, 1, 12)
DAY = timedelta(days=1)


def chart(*series: Series, days: int = 4) -> TimeLines:
    return time_lines("sizes", "Customers over time", series, NOON, NOON + days * DAY)


def gone_of(segments: Iterable[str]) -> Mapping[str, str]:
    return {each: f"{each}, formerly" for each in segments}


def rendered(value: TimeLines) -> str:
    macro = "{% from 'charts.html' import time_lines %}{{ time_lines(chart) }}"
    environment = _environment("EUR")
    environment.globals["may"] = lambda scope: True
    return environment.from_string(macro).render(chart=value)


def test_a_value_holds_until_the_next_one_and_the_last_one_until_the_end() -> None:
    lines = chart(Series("A", [(NOON, 100), (NOON + DAY, 50)])).lines
    assert lines[0].path == "M0.0 0.00H250.0V50.00H1000"


def test_what_held_before_the_beginning_still_holds_there_and_what_comes_later_is_left_out() -> None:
    lines = chart(Series("A", [(NOON - 9 * DAY, 1), (NOON - DAY, 2), (NOON + 2 * DAY, 4), (NOON + 9 * DAY, 8)])).lines
    assert [value for _, value in lines[0].series.points] == [2, 4]
    assert lines[0].path == "M0.0 50.00H500.0V0.00H1000"


def test_the_legend_has_the_order_in_which_the_lines_end() -> None:
    found = chart(Series("Low", [(NOON, 9)]), Series("High", [(NOON, 3), (NOON + DAY, 12_345)]), Series("None", []))
    assert [(line.series.name, line.latest) for line in found.lines] == [
        ("High", "12,345"),
        ("Low", "9"),
        ("None", "nothing yet"),
    ]
    assert found.description == "From 1 Mar to 5 Mar. At the end: High: 12,345; Low: 9; None: nothing yet."


def test_the_table_says_what_held_at_each_moment() -> None:
    found = chart(Series("A", [(NOON, 3), (NOON + 2 * DAY, 5)]), Series("B", [(NOON + DAY, 1)]))
    assert found.rows == [
        (NOON + 2 * DAY, ["5", "1"]),
        (NOON + DAY, ["3", "1"]),
        (NOON, ["3", ""]),
    ]


def test_within_two_days_the_axis_has_times() -> None:
    found = time_lines("sizes", "T", [Series("A", [(NOON, 1)])], NOON, NOON + timedelta(hours=2))
    assert [tick.text for tick in found.days] == ["1 Mar, 12:00 UTC", "1 Mar, 13:00 UTC", "1 Mar, 14:00 UTC"]
    assert 'data-at="2026-03-01T13:00:00Z" data-show="tick"' in rendered(found), "the browser shows the reader's time"
    assert 'data-show="tick_day"' in rendered(chart(Series("A", [(NOON, 1)])))


@given(
    st.lists(st.tuples(st.integers(-10, 10), st.floats(0, 1e9, allow_subnormal=False)), max_size=8),
    st.integers(0, 5),
)
def test_lines_stay_in_their_place_and_the_levels_are_round(values: list[tuple[int, float]], days: int) -> None:
    points = sorted((NOON + offset * DAY, value) for offset, value in values)
    found = chart(Series("A", points), days=days)
    numbers = [float(text) for line in found.lines for text in re.findall(r"[\d.]+", line.path)]
    assert all(0 <= value <= 1000 for value in numbers)
    assert found.levels[0].at == 0
    assert abs(found.levels[-1].at - 100) < 1e-6
    assert 2 <= len(found.levels) <= 6


def test_the_picture_has_a_title_and_a_description_and_names_are_text() -> None:
    html = rendered(chart(Series("<b>Savers</b>", [(NOON, 3)], "seg-01"), Series("Others", [(NOON, 2)])))
    assert 'aria-labelledby="sizes-title sizes-text"' in html
    assert '<title id="sizes-title">Customers over time</title>' in html
    assert "<b>Savers" not in html
    assert "&lt;b&gt;Savers" in html
    assert 'href="/segments/seg-01"' in html
    assert 'class="line tone-1"' in html
    assert "style=" not in html


def test_moves_are_told_since_most_of_the_customers_had_come_in_where_nobody_was_there_before(
    gateway: FakeGateway,
) -> None:
    sizes, since = gateway.services.segments.sizes, now() - timedelta(days=7)
    assert told_since(sizes, since) == since, "nothing was counted"
    nobody = gateway.count_segments()
    gateway.snapshots.keep("test", replace(nobody, as_of=since + timedelta(hours=1)))
    assert told_since(sizes, since) == since, "nobody has come in"
    gateway.store.insert_many([stored(f"C{n}", assignment()) for n in range(9)])
    came_in = since + timedelta(hours=30)
    gateway.snapshots.keep("test", replace(gateway.count_segments(), as_of=came_in))
    gateway.store.insert_many([stored("D", assignment())])
    gateway.count_segments()
    assert told_since(sizes, since) == came_in
    assert told_since(sizes, came_in + timedelta(hours=2)) == came_in + timedelta(hours=2), "they were there"


def test_the_history_of_sizes_begins_with_the_second_count(gateway: FakeGateway) -> None:
    sizes = gateway.services.segments.sizes
    assert size_history(sizes, {}, gone_of) is None
    nobody = gateway.count_segments()
    assert size_history(sizes, {"seg-01": "Savers"}, gone_of) is None, "counted once"
    gateway.snapshots.keep("test", replace(nobody, as_of=now() - timedelta(minutes=70)))
    gateway.store.insert_many([stored("C1", assignment()), stored("C2", assignment("seg-09"))])
    gateway.count_segments()
    found = size_history(sizes, {"seg-01": "Savers", "seg-02": "Others"}, gone_of)
    assert found is not None
    assert {line.series.name: line.latest for line in found.lines} == {
        "Savers": "1",
        "seg-09, formerly": "1",
        "Others": "0",
    }
    page = rendered(found)
    assert 'href="/segments/seg-01"' in page
    assert 'href="/segments/seg-09"' not in page, "it has no page any more"
    one = size_history(sizes, {"seg-01": "Savers"}, gone_of, "seg-01")
    assert one is not None
    assert [line.series.segment for line in one.lines] == ["seg-01"]
    assert one.lines[0].path.startswith("M0.0 100.00H")
