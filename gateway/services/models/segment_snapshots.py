"""Sizes of segments: snapshots that a worker counts (`segment_counting`) and everybody reads. No request counts.

A snapshot is what was true of all stored customers at one moment: how many are in each segment by each version of the
model, how many of them are borderline, and what they owe, buy and pay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple, Protocol, TypedDict

from gateway.services.clock import now
from gateway.services.customers.store import SegmentCounts
from gateway.services.errors import InvalidInput, SegmentsBeingCounted
from gateway.services.pages import Page
from shared.problems import FieldError

MONEY: Final = ("BALANCE", "CREDIT_LIMIT", "PURCHASES", "CASH_ADVANCE", "PAYMENTS")
"""The columns that are summed up."""
UTILISATION: Final = "UTILISATION"
"""BALANCE / CREDIT_LIMIT of a customer, as the model service has it in profiles and reports."""
FIGURES: Final = (*MONEY, UTILISATION)

State = Literal["fresh", "computing", "failed"]


@dataclass(frozen=True, slots=True)
class Amount:
    """The sum of a figure over the customers of whom it is known, and how many these are."""

    known: int = 0
    total: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.known + other.known, self.total + other.total)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many customers there are of a kind, how many of them are borderline, and their `FIGURES`."""

    size: int = 0
    borderline: int = 0
    amounts: Mapping[str, Amount] = field(default_factory=lambda: dict.fromkeys(FIGURES, Amount()))

    def __add__(self, other: Tally) -> Tally:
        amounts = {name: amount + other.amounts[name] for name, amount in self.amounts.items()}
        return Tally(self.size + other.size, self.borderline + other.borderline, amounts)


class Kind(NamedTuple):
    """Which customers are counted together: those of a segment by a model version; without both, they are pending."""

    segment: str | None
    version: str | None


Tallies = Mapping[Kind, Tally]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All customers as they were stored at one moment.

    Attributes
    ----------
    as_of : whatever was stored before is in it.
    position : what the change log held then is in it, too.
    model_version : the active version then, as far as the worker knew; None if it never did.
    """

    as_of: datetime
    tallies: Tallies
    position: int = 0
    model_version: str | None = None

    @property
    def assigned(self) -> int:
        """How many customers have a segment."""
        return sum(tally.size for kind, tally in self.tallies.items() if kind.segment is not None)

    @property
    def pending(self) -> int:
        """How many have none."""
        return self.of_segment(None).size

    def of_segment(self, segment: str | None) -> Tally:
        """Return what was counted of a segment, by whichever version."""
        return _sum(tally for kind, tally in self.tallies.items() if kind.segment == segment)

    def of_version(self, version: str) -> int:
        """Return how many customers a version of the model has assigned."""
        return sum(tally.size for kind, tally in self.tallies.items() if kind.version == version)

    def segments(self) -> list[str]:
        """Return the ids of the segments that anybody is in."""
        return sorted({kind.segment for kind in self.tallies if kind.segment is not None})


def _sum(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


class Comparison(TypedDict):
    """How the snapshot of the time ``as_of`` compares with the list of customers: what differs, in words."""

    at: datetime
    as_of: datetime
    agrees: bool
    differences: list[str]


@dataclass(frozen=True, slots=True)
class Current:
    """The last snapshot, if there is one, and how it stands with the next one.

    Attributes
    ----------
    since, reason : since when the state is what it is, and why it is ``failed``.
    alive : whether a worker has looked lately.
    looked_at : until when one would have had to.
    """

    snapshot: Snapshot | None
    state: State
    since: datetime
    reason: str | None
    alive: bool
    looked_at: datetime
    comparison: Comparison | None = None


class Step(StrEnum):
    """How far apart points in time are; of each step, the last snapshot is kept."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Snapshots(Protocol):
    """Where snapshots are kept. Every method may raise `StoreError`.

    Of several workers one leads: it alone counts. It is the one that said so last, for as long as it said.
    """

    def current(self) -> Current | None:
        """Return the last snapshot and its state; None where no worker has been yet."""

    def page(
        self, step: Step, since: datetime | None, until: datetime | None, after: str | None, limit: int
    ) -> list[tuple[str, Snapshot]]:
        """Return up to `limit` points in time with their ids, oldest first, behind the one with the id `after`.

        They are of the times from `since` on and before `until`; ahead of them comes the last one before `since`: what
        it says still held then.
        """

    def lead(self, worker: str, seconds: float) -> bool:
        """Become the worker that counts, or stay it, for so many seconds; return whether that is so."""

    def note(self, worker: str, state: State, reason: str | None = None) -> None:
        """Note how it stands, if the worker leads."""

    def keep(self, worker: str, snapshot: Snapshot) -> None:
        """Keep a snapshot as a point in time; if the worker leads, also as the current one, which is fresh then."""

    def note_comparison(self, worker: str, comparison: Comparison) -> None:
        """Note how the current snapshot compares with the list, if the worker leads."""


class SegmentCounter(Protocol):
    """Counts the stored customers. Every method may raise `StoreError`."""

    def mark(self) -> str:
        """Return what changes with every write to the stored customers, whoever makes it; cheap."""

    def count(self) -> tuple[datetime, Tallies]:
        """Count all customers as they are at one moment; return the time before, and the tallies."""

    def is_empty(self) -> bool:
        """Whether no customer is stored; cheap."""


class Figure(TypedDict):
    """Sum and mean of a figure over the customers of whom it is ``known``; the mean of nobody is null."""

    known: int
    sum: float
    mean: float | None


class SegmentSize(TypedDict):
    """A segment's size and share (0-1) among the customers that have a segment, and what its customers owe and spend.

    ``borderline_size`` counts those of a confidence below 0.9. ``money`` has BALANCE, CREDIT_LIMIT, PURCHASES,
    CASH_ADVANCE, PAYMENTS and UTILISATION (BALANCE / CREDIT_LIMIT of each customer that has a limit).
    """

    id: str
    size: int
    share: float
    borderline_size: int
    money: dict[str, Figure]


class SizesPoint(TypedDict):
    """The sizes of all segments that anybody was in, ``as_of`` a time. They hold until the next point."""

    as_of: datetime
    model_version: str | None
    customers: int
    pending: int
    segments: list[SegmentSize]


class SnapshotStatus(TypedDict):
    """How old the sizes of segments are, whether they are being counted, and how they last compared with the list."""

    as_of: datetime | None
    state: State
    state_since: datetime | None
    state_reason: str | None
    comparison: Comparison | None


def money_of(tally: Tally) -> dict[str, Figure]:
    """Return the sums and means of a tally."""
    return {
        name: Figure(known=a.known, sum=a.total, mean=a.total / a.known if a.known else None)
        for name, a in tally.amounts.items()
    }


def size_of(snapshot: Snapshot, segment: str) -> SegmentSize:
    """Return what a snapshot says of a segment."""
    tally, assigned = snapshot.of_segment(segment), snapshot.assigned
    return SegmentSize(
        id=segment,
        size=tally.size,
        share=tally.size / assigned if assigned else 0.0,
        borderline_size=tally.borderline,
        money=money_of(tally),
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """A snapshot and its state, as clients see it."""

    snapshot: Snapshot
    state: State
    since: datetime
    reason: str | None


class SegmentSizes:
    """The sizes of all segments, now and in the past, as they were counted."""

    def __init__(self, snapshots: Snapshots, counter: SegmentCounter) -> None:
        self._snapshots = snapshots
        self._counter = counter

    def now(self) -> Sizes:
        """Return the last sizes that were counted.

        Raises
        ------
        SegmentsBeingCounted
            there are none yet.
        StoreError
        """
        current = self._snapshots.current()
        if current is None or current.snapshot is None:
            at = now()
            if not self._counter.is_empty():
                raise SegmentsBeingCounted
            return Sizes(Snapshot(at, {}), "fresh", at, None)
        return Sizes(current.snapshot, *_state(current))

    def status(self) -> SnapshotStatus:
        """Return how old the sizes are, and why."""
        current = self._snapshots.current()
        if current is None:
            return SnapshotStatus(as_of=None, state="failed", state_since=None, state_reason=_NOBODY, comparison=None)
        state, since, reason = _state(current)
        return SnapshotStatus(
            as_of=current.snapshot.as_of if current.snapshot else None,
            state=state,
            state_since=since,
            state_reason=reason,
            comparison=current.comparison,
        )

    def page(
        self, step: Step, since: datetime | None, until: datetime | None, after: str | None, limit: int
    ) -> Page[SizesPoint, str]:
        """Return a page of the sizes over time, oldest first.

        Raises
        ------
        InvalidInput
            if the second time is before the first.
        StoreError
        """
        if since is not None and until is not None and until < since:
            raise InvalidInput([FieldError(pointer="?until", detail="must not be earlier than since")])
        found = self._snapshots.page(step, since, until, after, limit + 1)
        return Page.of(found, limit, lambda entry: str(entry[0]), lambda entry: _point(entry[1]))


_NOBODY = "No worker has counted yet."


def _state(current: Current) -> tuple[State, datetime, str | None]:
    """Return what clients see: while nobody looks, nobody knows whether anything has changed."""
    if current.alive:
        return current.state, current.since, current.reason
    reason = "No worker looks whether customers have changed; the sizes may be out of date."
    return "failed", current.looked_at, reason


def _point(snapshot: Snapshot) -> SizesPoint:
    pending = snapshot.pending
    return SizesPoint(
        as_of=snapshot.as_of,
        model_version=snapshot.model_version,
        customers=snapshot.assigned + pending,
        pending=pending,
        segments=[size_of(snapshot, segment) for segment in snapshot.segments()],
    )


def differences(snapshot: Snapshot, listed: SegmentCounts) -> list[str]:
    """Return in which numbers a snapshot differs from what was counted of the list, in words."""
    counted: Counter[str] = Counter()
    for kind, tally in snapshot.tallies.items():
        if kind.segment is None:
            counted["pending"] += tally.size
        else:
            counted[f"segment {kind.segment}"] += tally.size
            counted[f"version {kind.version}"] += tally.size
    expected = Counter({f"segment {name}": size for name, size in listed.by_segment.items()})
    expected += Counter({f"version {name}": size for name, size in listed.by_version.items()})
    expected["pending"] = listed.pending
    return [
        f"{name}: {counted[name]} in the snapshot, {expected[name]} in the list"
        for name in sorted({*counted, *expected})
        if counted[name] != expected[name]
    ]
