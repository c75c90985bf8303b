"""Moves of customers between segments, from one time to another: what came of it, not every step on the way.

Both times are as ``as_of`` has them: a change that was made at that very moment has been made. So what a segment had
then, plus who moved in, minus who moved out, is what it has later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypedDict

from gateway.services.clock import now
from gateway.services.errors import BeforeMemory, InvalidInput
from gateway.services.events.change import Cause
from gateway.services.events.log import Memory, Waiting
from gateway.services.models.segment_snapshots import Figure, Tally, money_of
from shared.problems import FieldError

_MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Move:
    """Customers who were in one segment and are in another, for the same cause; None where they had none.

    Attributes
    ----------
    cause : of the last of their changes; None where they were deleted.
    there : those of them that are stored now, as they are now.
    """

    source: str | None
    target: str | None
    cause: Cause | None
    customers: int
    there: Tally


class TransitionStore(Protocol):
    """Finds moves in the change log."""

    def between(self, since: datetime, until: datetime, seconds: float | None = None) -> tuple[list[Move], int]:
        """Return who was elsewhere at `until` than at `since`, and how many changes of erased customers there were.

        It takes `seconds` at most, and never longer than all work on many customers may.

        Raises
        ------
        PeriodTooLong, StoreError
        """


Transition = TypedDict(
    "Transition",
    {
        "from": str | None,
        "to": str | None,
        "customers": int,
        "causes": dict[str, int],
        "stored": int,
        "money": dict[str, Figure],
    },
)
"""How many customers moved from one segment to another, and why; null stands for none: not stored, or
pending.

``causes`` counts them by the cause of their last change (``deleted`` where that was a deletion). ``money`` is that of
those who are ``stored`` now, as it is now.
"""


class Transitions(TypedDict):
    """Who was in another segment at the time ``until`` than at the time ``since``.

    A customer that went and came back is not among them. ``until`` is at most the time up to which the change log has
    everything, which is a second ago at most. ``moved`` customers had a segment at both times, ``entered`` ones only
    later, ``left`` ones only before. The changes of erased customers belong to nobody any more: ``erased`` says how
    many were left out.
    """

    items: list[Transition]
    since: datetime
    until: datetime
    moved: int
    entered: int
    left: int
    erased: int


class TransitionService:
    """Says who moved between segments.

    Parameters
    ----------
    memory : says how far back the change log goes.
    waiting : says what is still to come into it.
    """

    def __init__(self, store: TransitionStore, memory: Callable[[], Memory], waiting: Callable[[], Waiting]) -> None:
        self._store = store
        self._memory = memory
        self._waiting = waiting

    def between(self, since: datetime, until: datetime | None = None, seconds: float | None = None) -> Transitions:
        """Return all moves from one time to another, or to the present; the most frequent first.

        Parameters
        ----------
        seconds : longest time for the search; None: as long as all work on many customers may take.

        Raises
        ------
        InvalidInput
            if the second time is before the first, or the first is yet to come.
        BeforeMemory
            if the first is before the log begins.
        PeriodTooLong, StoreError
        """
        if until is not None and until < since:
            raise InvalidInput([FieldError(pointer="?until", detail="must not be earlier than since")])
        if since > now():
            raise InvalidInput([FieldError(pointer="?since", detail="must not be in the future")])
        known_until = max(since, self._known_until())
        until = known_until if until is None else min(until, known_until)
        remembered = self._memory().since
        if since < remembered:
            raise BeforeMemory(remembered, "since")
        moves, erased = self._store.between(since, until, seconds)
        return Transitions(
            items=_matrix(moves),
            since=since,
            until=until,
            moved=sum(m.customers for m in moves if m.source is not None and m.target is not None),
            entered=sum(m.customers for m in moves if m.source is None),
            left=sum(m.customers for m in moves if m.target is None),
            erased=erased,
        )

    def _known_until(self) -> datetime:
        """Return up to when the log has all changes."""
        at, oldest = now(), self._waiting().oldest
        return at if oldest is None else min(at, oldest - _MOMENT)


def _matrix(moves: Iterable[Move]) -> list[Transition]:
    cells: dict[tuple[str | None, str | None], list[Move]] = {}
    for move in moves:
        cells.setdefault((move.source, move.target), []).append(move)
    found = [_transition(source, target, cell) for (source, target), cell in cells.items()]
    return sorted(found, key=lambda each: (-each["customers"], each["from"] or "", each["to"] or ""))


def _transition(source: str | None, target: str | None, moves: list[Move]) -> Transition:
    causes: Counter[str] = Counter()
    for move in moves:
        causes[move.cause or "deleted"] += move.customers
    there = sum((move.there for move in moves), Tally())
    return {
        "from": source,
        "to": target,
        "customers": causes.total(),
        "causes": dict(causes),
        "stored": there.size,
        "money": money_of(there),
    }
