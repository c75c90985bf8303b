"""What is counted of segments, and the moves between them, in memory; `contracts.segments` holds them to the ports."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway.services.clock import now
from gateway.services.customers.customer import CustomerPart
from gateway.services.customers.query import CustomerQuery
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import PeriodTooLong, StoreError
from gateway.services.events.change import Cause
from gateway.services.models.descriptions import Description
from gateway.services.models.segment_snapshots import (
    FIGURES,
    UTILISATION,
    Amount,
    Comparison,
    Current,
    Kind,
    Snapshot,
    State,
    Step,
    Tallies,
    Tally,
)
from gateway.services.models.transitions import Move
from shared.contract import BORDERLINE

_NOWHERE = (None, datetime.min)
_BEGINNINGS = {Step.MINUTE: "%Y%m%dT%H%M", Step.HOUR: "%Y%m%dT%H", Step.DAY: "%Y%m%d"}


def tally_of(customer: Mapping[str, Any]) -> Tally:
    """Return the tally of one customer."""
    segment, limit = customer["segment"], customer["CREDIT_LIMIT"]
    values = {**customer, UTILISATION: customer["BALANCE"] / limit if limit else None}
    amounts = {name: Amount() if values[name] is None else Amount(1, values[name]) for name in FIGURES}
    return Tally(1, int(segment is not None and segment["confidence"] < BORDERLINE), amounts)


class InMemorySegmentCounter:
    """Counts the customers of a store, fake or not.

    Attributes
    ----------
    counts : how often it was counted.
    failure : raised by every call while it is set.
    """

    def __init__(self, store: CustomerStore) -> None:
        self._store = store
        self.counts = 0
        self.failure: StoreError | None = None

    def mark(self) -> str:
        self._use()
        return str(hash(tuple((c["CUST_ID"], c["revision"]) for c in self._all())))

    def count(self) -> tuple[datetime, Tallies]:
        self.counts += 1
        self._use()
        at = now()
        tallies: dict[Kind, Tally] = defaultdict(Tally)
        for customer in self._all():
            segment = customer["segment"] or {"id": None, "model_version": None}
            tallies[Kind(segment["id"], segment["model_version"])] += tally_of(customer)
        return at, dict(tallies)

    def is_empty(self) -> bool:
        self._use()
        return not self._store.find(CustomerQuery(limit=1))

    def _all(self) -> list[CustomerPart]:
        return self._store.find(CustomerQuery(limit=1_000_000))

    def _use(self) -> None:
        if self.failure:
            raise self.failure


class InMemorySnapshots:
    """Snapshots in dicts; a lease ends by `clock`, which a test may move.

    Attributes
    ----------
    failure : raised by every call while it is set.
    """

    def __init__(self) -> None:
        self.points: dict[str, Snapshot] = {}
        self.ahead = timedelta()
        self.failure: StoreError | None = None
        self._worker: str | None = None
        self._until = datetime.min
        self._latest: Snapshot | None = None
        self._state: tuple[State, datetime, str | None] | None = None
        self._comparison: Comparison | None = None

    def clock(self) -> datetime:
        """Return the time."""
        return now() + self.ahead

    def current(self) -> Current | None:
        self._use()
        if self._state is None:
            return None
        return Current(self._latest, *self._state, self._until > self.clock(), self._until, self._comparison)

    def page(
        self, step: Step, since: datetime | None, until: datetime | None, after: str | None, limit: int
    ) -> list[tuple[str, Snapshot]]:
        self._use()
        points = sorted((name, point) for name, point in self.points.items() if name.startswith(f"{step}."))
        earlier = [each for each in points if since is not None and each[1].as_of < since]
        found = [
            (name, point)
            for name, point in points
            if (since is None or point.as_of >= since) and (until is None or point.as_of < until)
        ]
        return [each for each in earlier[-1:] + found if after is None or each[0] > after][:limit]

    def lead(self, worker: str, seconds: float) -> bool:
        self._use()
        at = self.clock()
        if self._worker not in (None, worker) and self._until > at:
            return False
        self._worker, self._until = worker, at + timedelta(seconds=seconds)
        self._state = self._state or ("computing", at, None)
        return True

    def note(self, worker: str, state: State, reason: str | None = None) -> None:
        self._use()
        if worker == self._worker and self._state is not None:
            since = self._state[1] if self._state[0] == state else self.clock()
            self._state = (state, since, reason)

    def keep(self, worker: str, snapshot: Snapshot) -> None:
        self._use()
        for step, beginning in _BEGINNINGS.items():
            name = f"{step}.{snapshot.as_of:{beginning}}"
            if name not in self.points or self.points[name].as_of <= snapshot.as_of:
                self.points[name] = snapshot
        if worker == self._worker:
            self._latest, self._state = snapshot, ("fresh", snapshot.as_of, None)

    def note_comparison(self, worker: str, comparison: Comparison) -> None:
        self._use()
        if worker == self._worker:
            self._comparison = comparison

    def _use(self) -> None:
        if self.failure:
            raise self.failure


class InMemoryDescriptions:
    """One description. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.description: Description | None = None
        self.failure: StoreError | None = None

    def get(self) -> Description | None:
        self._use()
        return self.description

    def keep(self, description: Description) -> None:
        self._use()
        if self.description is None or self.description.described_at < description.described_at:
            self.description = description

    def _use(self) -> None:
        if self.failure:
            raise self.failure


class InMemoryTransitions:
    """Finds moves by who was where at both times: who is there now since before, and whom a later change took away.

    Set `takes` to the seconds that a search takes.
    """

    def __init__(self, changes: Any, store: Any) -> None:
        self._changes = changes
        self._store = store
        self.takes = 0.0

    def between(self, since: datetime, until: datetime, seconds: float | None = None) -> tuple[list[Move], int]:
        if seconds is not None and seconds < self.takes:
            raise PeriodTooLong(seconds)
        changed = [e for e in self._changes.entries.values() if "segment" in e]
        before, after = self._members(since, changed), self._members(until, changed)
        found: dict[tuple[str | None, str | None, Cause | None], list[Tally]] = defaultdict(list)
        numbers: Counter[tuple[str | None, str | None, Cause | None]] = Counter()
        for cust_id in {*before, *after}:
            source, target = before.get(cust_id, _NOWHERE), after.get(cust_id, _NOWHERE)
            if source[0] != target[0]:
                mine = [e for e in changed if e["subject"]["id"] == cust_id and since < e["at"] <= until]
                last = max(mine, key=lambda e: (e["at"], e["position"]), default=None)
                told = last is not None and target[1] <= last["at"]  # an import tells of no customer that it creates
                key = (source[0], target[0], last["cause"] if last and told else "import")
                numbers[key] += 1
                now_ = self._store.customers.get(cust_id)
                found[key].append(tally_of(now_) if now_ else Tally())
        erased = sum("erased" in e and since < e["at"] <= until for e in changed)
        return [Move(*key, customers, sum(found[key], Tally())) for key, customers in numbers.items()], erased

    def _members(self, at: datetime, changed: list[Any]) -> dict[str, tuple[str, datetime]]:
        """Return the segments of all who had one, and since when they were in it."""
        found = {}
        for entry in changed:
            left, since = entry["segment"]["from"], entry["segment"]["from_since"] or datetime.min
            if left and since <= at < entry["at"] and "erased" not in entry:
                found[entry["subject"]["id"]] = (left, since)
        for cust_id, customer in self._store.customers.items():
            segment = customer["segment"]
            since = segment and (segment.get("since") or datetime.min)
            if segment and customer["created_at"] <= at and since <= at:
                found[cust_id] = (segment["id"], since)
        return found
