"""The segments: who is in each, how they differ, and who came and went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Response

from gateway.controllers.http import caller, query
from gateway.pages import segment_words
from gateway.pages.rendering import page
from gateway.pages.size_history import Former, size_history, told_since
from gateway.schemas.queries import Parameter, flag
from gateway.services.clock import now
from gateway.services.customers.customer import CustomerPart
from gateway.services.customers.lists import CustomerLists
from gateway.services.customers.query import Condition, CustomerQuery, Op, SortKey, order_of
from gateway.services.errors import BeforeMemory, PeriodTooLong, SegmentNotFound
from gateway.services.models.differences import Difference, centres, centres_of_all, differences
from gateway.services.models.segment_snapshots import FIGURES, Amount, Figure, SegmentSizes
from gateway.services.models.segments import SegmentList, SegmentNow, SegmentService
from gateway.services.models.transitions import Transition, Transitions, TransitionService
from gateway.services.principal import Scope

ALL: Final = "all"
"""All customers, as one side of a comparison."""
SHOWN: Final = ("BALANCE", "PURCHASES", "CASH_ADVANCE", "PAYMENTS", "CREDIT_LIMIT")
"""What is shown of a customer that stands for others."""
_OLD: Final = timedelta(seconds=30)
"""A description that is older comes from before the model service went away."""
_EXAMPLES: Final = 5
_PERIODS: Final = {"week": timedelta(days=7), "month": timedelta(days=30)}


def _segment(text: str) -> str:
    if not 1 <= len(text) <= 64:
        raise ValueError("must be the id of a segment")
    return text


def _period(text: str) -> str:
    if text not in _PERIODS:
        raise ValueError(f"must be one of {', '.join(_PERIODS)}")
    return text


_ID: Final = {"type": "string", "maxLength": 64}
COMPARED: Final = (
    Parameter("a", _segment, "The segment that is compared.", _ID),
    Parameter("b", _segment, f"The other one; {ALL!r} for all customers.", _ID, ALL),
)
PERIOD: Final = (
    Parameter("period", _period, "How far back.", {"enum": [*_PERIODS]}, "month"),
    flag("wait", "Answer when everybody is counted, however long that takes."),
)
_AT_ONCE: Final = 0.5
"""Seconds that a page may take to count; where there is more to count it is shown without, and asks again."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a segment, or all customers, who have no id."""

    id: str
    name: str
    size: int
    money: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Examples:
    """Stored customers of a segment: those that it has surest, and those nearest to another segment."""

    surest: Sequence[CustomerPart]
    nearest: Sequence[CustomerPart]


class SegmentPagesController:
    """Shows what kinds of customer there are.

    Parameters
    ----------
    former : says what segments are called that the model does not have any more.
    """

    def __init__(
        self,
        segments: SegmentService,
        sizes: SegmentSizes,
        transitions: TransitionService,
        lists: CustomerLists,
        former: Former,
    ) -> None:
        self._segments = segments
        self._sizes = sizes
        self._transitions = transitions
        self._lists = lists
        self._former = former

    def list(self) -> Response:
        """GET /segments."""
        found = self._segments.list()
        items = sorted(found["items"], key=lambda each: -each["size"])
        return _page("segments.html", found, items=items, traits=_traits(items), most=_most(items))

    def show(self, segment_id: str) -> Response:
        """GET /segments/{id}."""
        try:
            segment, found = self._segments.get(segment_id), self._segments.list()
        except SegmentNotFound:
            return self._gone(segment_id)
        return _page(
            "segment.html",
            found,
            segment=segment,
            found=_traits(found["items"]).get(segment_id, []),
            names=_names(found),
            history=size_history(self._sizes, _names(found), self._former, segment_id),
            examples=self._examples(segment_id) if caller().may(Scope.CUSTOMERS_READ) else None,
            shown=SHOWN,
        )

    def compare(self) -> Response:
        """GET /segments/compare."""
        found = self._segments.list()
        items = {item["id"]: item for item in found["items"]}
        largest = max(items, key=lambda each: items[each]["size"]) if items else ""
        one, other = query().get("a", largest), query()["b"]
        for name in {one, other} - {ALL}:
            if name not in items:
                raise SegmentNotFound(name)
        sides = [_side(each, items) for each in (one, other)]
        lies = centres_of_all(items.values()), {name: centres(item["profile"]) for name, item in items.items()}
        at = [lies[0] if each == ALL else lies[1][each] for each in (one, other)]
        return _page("segments_compare.html", found, one=sides[0], other=sides[1], found=differences(*at), items=items)

    def moves(self, segment_id: str) -> Response:
        """GET /segments/{id}/moves."""
        found, period, wait = self._segments.list(), query()["period"], query()["wait"]
        names = _names(found)
        if segment_id not in names:
            return self._gone(segment_id)
        asked = now() - _PERIODS[period]
        told = told_since(self._sizes, asked)
        try:
            moved, whole = self._moved(told, None if wait else _AT_ONCE)
        except PeriodTooLong:
            if wait:
                raise
            return _page("segment_moves.html", found, id=segment_id, names=names, period=period, counting=True)
        came = [each for each in moved["items"] if each["to"] == segment_id]
        went = [each for each in moved["items"] if each["from"] == segment_id]
        others = {each for move in (*came, *went) for each in (move["from"], move["to"]) if each} - names.keys()
        values = {
            "counting": False,
            "gone": self._former(others),
            "came": came,
            "went": went,
            "since": moved["since"],
            "whole": whole,
            "new": whole and told != asked,
            "period": period,
        }
        return _page("segment_moves.html", found, id=segment_id, names=names, count=_count, **values)

    def _gone(self, segment_id: str) -> Response:
        name = self._former([segment_id]).get(segment_id, "")
        if name.startswith(segment_id):  # which stands for a name where nobody remembers one
            name = ""
        return page("segment_gone.html", 404, id=segment_id, name=name)

    def _moved(self, since: datetime, seconds: float | None) -> tuple[Transitions, bool]:
        """Return who moved, and whether that is known for the whole time."""
        try:
            return self._transitions.between(since, seconds=seconds), True
        except BeforeMemory as error:
            return self._transitions.between(error.earliest, seconds=seconds), False

    def _examples(self, segment_id: str) -> Examples:
        surest, nearest = (self._by_confidence(segment_id, descending) for descending in (True, False))
        return Examples(surest, nearest)

    def _by_confidence(self, segment_id: str, descending: bool) -> Sequence[CustomerPart]:
        condition = Condition("segment", Op.EQ, segment_id)
        order = order_of([SortKey("confidence", descending)])
        wanted = CustomerQuery((condition,), order, limit=_EXAMPLES, fields=("segment", *SHOWN))
        return self._lists.page(wanted)[0].items


def _page(template: str, segments: SegmentList, **values: Any) -> Response:
    stale = now() - segments["described_at"] > _OLD
    return page(template, segments=segments, stale=stale, words=segment_words, **values)


def _names(found: SegmentList) -> dict[str, str]:
    return {item["id"]: item["name"] for item in found["items"]}


def _traits(items: Iterable[SegmentNow]) -> dict[str, Sequence[Difference]]:
    """Return by id how each segment differs from all customers."""
    items = list(items)
    everybody = centres_of_all(items)
    return {item["id"]: differences(centres(item["profile"]), everybody) for item in items}


def _most(items: Iterable[SegmentNow]) -> dict[str, str]:
    """Return by figure which segment has most of it: the highest sum, of the share in use the highest mean."""
    with_customers = [item for item in items if item["size"]]
    if not with_customers:
        return {}
    return {
        name: max(with_customers, key=lambda item: (item["money"][name]["mean"] or 0) * _weight(item, name))["id"]
        for name in FIGURES
    }


def _weight(item: SegmentNow, name: str) -> int:
    return 1 if name == FIGURES[-1] else item["money"][name]["known"]


def _side(name: str, items: Mapping[str, SegmentNow]) -> Side:
    if name != ALL:
        return Side(name, items[name]["name"], items[name]["size"], items[name]["money"])
    sums = {figure: _sum([item["money"][figure] for item in items.values()]) for figure in FIGURES}
    return Side("", "All customers", sum(item["size"] for item in items.values()), sums)


def _sum(figures: Iterable[Figure]) -> Figure:
    amount = sum((Amount(each["known"], each["sum"]) for each in figures), Amount())
    mean = amount.total / amount.known if amount.known else None
    return Figure(known=amount.known, sum=amount.total, mean=mean)


def _count(moves: Sequence[Transition]) -> int:
    return sum(move["customers"] for move in moves)
