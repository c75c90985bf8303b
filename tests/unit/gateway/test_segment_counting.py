"""The worker counts after every change, for a part of the time, alone among workers, and checks what it has counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.model import DOWN, FakeModel
from fakes.registry import FakeRegistry
from fakes.segments import InMemoryDescriptions, InMemorySegmentCounter, InMemorySnapshots
from fakes.store import InMemoryCustomerStore
from support.customers import stored

from gateway.services.customers.store import SegmentCounts
from gateway.services.errors import ModelUnavailable, StoreError, StoreUnavailable
from gateway.services.models.descriptions import ModelDescriptions
from gateway.services.models.segment_counting import (
    COMPARED_SECONDS,
    LEASE_SECONDS,
    RENEWED_SECONDS,
    SETTLED_SECONDS,
    SHARE,
    DescriptionUpkeep,
    SegmentCounting,
)
from gateway.services.models.segment_snapshots import SegmentSizes, Sizes, Tallies, differences


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class SlowSegmentCounter(InMemorySegmentCounter):
    """Counts in as long as a test says; `meanwhile` is what others do then."""

    def __init__(self, store: InMemoryCustomerStore, clock: Clock) -> None:
        super().__init__(store)
        self.takes = 0.0
        self.meanwhile: Callable[[], object] = lambda: None
        self._clock = clock

    def count(self) -> tuple[datetime, Tallies]:
        found = super().count()
        self._clock.time += self.takes
        self.meanwhile()
        return found


class Base:
    """A store of customers with what the worker counts of it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = InMemoryCustomerStore()
        self.counter = SlowSegmentCounter(self.store, self.clock)
        self.snapshots = InMemorySnapshots()
        self.kept = InMemoryDescriptions()
        self.model = FakeModel()
        self.registry = FakeRegistry()
        self.listed: SegmentCounts | None = None
        self.position = 0
        self.sizes = SegmentSizes(self.snapshots, self.counter)
        self.worker = self.another()

    def another(self) -> SegmentCounting:
        """Return a worker."""
        descriptions = ModelDescriptions(self.model, self.registry, self.kept, 1, 1, self.clock)

        def list_counts() -> SegmentCounts:
            return self.listed or self.store.segment_counts()

        return SegmentCounting(
            self.counter, self.snapshots, descriptions, list_counts, lambda: self.position, self.clock
        )

    def told(self) -> Sizes:
        return self.sizes.now()

    def total(self) -> int:
        snapshot = self.told().snapshot
        return snapshot.assigned + snapshot.pending

    def pass_by(self, seconds: float, *workers: SegmentCounting) -> None:
        """Let time pass in which the workers look ten times a second."""
        until = self.clock.time + seconds
        while self.clock.time < until:
            self.clock.time += 0.1
            for worker in workers or (self.worker,):
                worker.run_once()


@pytest.fixture
def base() -> Base:
    return Base()


def test_every_change_is_counted_at_once_where_that_is_cheap(base: Base) -> None:
    assert base.worker.run_once() == 1
    for customers in range(1, 4):
        base.store.insert(stored(f"C{customers}", assignment()))
        base.position = customers
        assert base.worker.run_once() == 1
        told = base.told()
        assert (base.total(), told.state, told.snapshot.position) == (customers, "fresh", customers)


def test_what_does_not_change_is_counted_once_more_when_it_has_settled_and_then_no_more(base: Base) -> None:
    base.pass_by(SETTLED_SECONDS - 1)
    assert base.counter.counts == 1
    base.pass_by(100)
    assert base.counter.counts == 2


def test_counting_takes_a_part_of_the_time_and_the_state_says_that_it_is_behind(base: Base) -> None:
    base.counter.takes = 1.0
    base.worker.run_once()
    base.store.insert(stored("A"))
    began = base.clock.time
    base.worker.run_once()
    while base.total() == 0:
        assert base.told().state == "computing"
        base.pass_by(0.1)
    assert base.clock.time - began == pytest.approx(SHARE + base.counter.takes, abs=0.2)
    assert base.told().state == "fresh"


def test_what_is_written_meanwhile_is_counted_next(base: Base) -> None:
    base.counter.meanwhile = lambda: base.store.insert(stored(f"C{base.counter.counts}"))
    base.worker.run_once()
    assert base.total() == 0
    base.counter.meanwhile = lambda: None
    base.worker.run_once()
    assert base.total() == 1


def test_one_of_several_workers_counts(base: Base) -> None:
    other = base.another()
    base.pass_by(5, base.worker, other)
    assert base.counter.counts == 1
    base.store.insert(stored("A"))
    base.pass_by(1, other, base.worker)
    assert (base.counter.counts, base.total()) == (2, 1)


def test_another_worker_goes_on_when_the_first_has_died_in_the_middle(base: Base) -> None:
    base.worker.run_once()
    base.store.insert(stored("A"))

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    base.counter.meanwhile = die
    with pytest.raises(Killed):
        base.worker.run_once()
    assert (base.told().state, base.total()) == ("computing", 0)
    base.counter.meanwhile = lambda: None
    other = base.another()
    base.pass_by(RENEWED_SECONDS, other)
    assert base.total() == 0
    base.snapshots.ahead = base.snapshots.ahead.resolution * int(1e6 * (LEASE_SECONDS + 0.1))
    dead = base.told()
    assert dead.state == "failed"
    assert "No worker" in str(dead.reason)
    base.pass_by(RENEWED_SECONDS + 0.2, other)
    assert (base.told().state, base.total()) == ("fresh", 1)


def test_a_failure_is_told_with_its_reason_until_it_is_over(base: Base) -> None:
    base.worker.run_once()
    base.store.insert(stored("A"))
    base.counter.meanwhile = _raiser(StoreError("The database rejected the operation."))
    with pytest.raises(StoreError):
        base.worker.run_once()
    told = base.told()
    assert (told.state, told.reason, base.total()) == ("failed", "The database rejected the operation.", 0)
    status = base.sizes.status()
    assert (status["state"], status["state_reason"]) == ("failed", told.reason)
    assert base.worker.run_once() == 0, "not again at once"
    base.counter.meanwhile = lambda: None
    base.pass_by(2)
    assert (base.told().state, base.told().reason, base.total()) == ("fresh", None, 1)


def _raiser(error: Exception) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


def test_a_database_that_is_away_is_an_outage(base: Base) -> None:
    base.snapshots.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        base.worker.run_once()
    base.snapshots.failure = None
    assert base.worker.run_once() == 1


def test_snapshot_and_list_are_compared_and_agree(base: Base) -> None:
    base.store.insert_many([stored("A", assignment()), stored("B")])
    base.pass_by(SETTLED_SECONDS + 1)
    comparison = base.sizes.status()["comparison"]
    assert comparison is not None
    assert (comparison["agrees"], comparison["differences"]) == (True, [])
    assert comparison["as_of"] == base.told().snapshot.as_of


def test_a_snapshot_that_disagrees_is_reported_and_repaired(base: Base, caplog: pytest.LogCaptureFixture) -> None:
    base.store.insert(stored("A", assignment()))
    base.pass_by(SETTLED_SECONDS + 1)
    counts = base.counter.counts
    base.listed = SegmentCounts({"seg-01": 2}, {"v1": 2}, 0)
    base.pass_by(COMPARED_SECONDS)
    comparison: Any = base.sizes.status()["comparison"]
    assert comparison["differences"] == [
        "segment seg-01: 1 in the snapshot, 2 in the list",
        "version v1: 1 in the snapshot, 2 in the list",
    ]
    assert "disagree" in caplog.text
    assert base.counter.counts > counts
    base.listed = None
    base.pass_by(COMPARED_SECONDS)
    assert base.sizes.status()["comparison"]["agrees"]  # type: ignore[index]


def test_differences_of_what_only_one_of_both_has(base: Base) -> None:
    base.store.insert_many([stored("A", assignment("seg-02", "v2")), stored("B")])
    base.worker.run_once()
    assert differences(base.told().snapshot, SegmentCounts({"seg-03": 1}, {"v2": 1}, 1)) == [
        "segment seg-02: 1 in the snapshot, 0 in the list",
        "segment seg-03: 0 in the snapshot, 1 in the list",
    ]


def test_nothing_is_compared_while_it_changes(base: Base) -> None:
    base.pass_by(SETTLED_SECONDS + 1)
    before = base.sizes.status()["comparison"]
    worker = base.another()
    base.snapshots.ahead = base.snapshots.ahead.resolution * int(1e6 * LEASE_SECONDS * 2)
    base.counter.mark = lambda: str(base.clock.time)  # type: ignore[method-assign]
    for _ in range(20):
        base.clock.time += COMPARED_SECONDS
        worker.run_once()
    assert base.sizes.status()["comparison"] == before


class TestDescriptions:
    @pytest.fixture
    def upkeep(self, base: Base) -> DescriptionUpkeep:
        descriptions = ModelDescriptions(base.model, base.registry, base.kept, 1, 1, base.clock)
        return DescriptionUpkeep(base.model, descriptions, base.clock)

    @pytest.fixture(autouse=True)
    def _of_one_registry(self, base: Base) -> None:
        base.model.current = base.registry.active or ""

    def test_are_kept_for_each_version_and_renewed_for_new_names(self, base: Base, upkeep: DescriptionUpkeep) -> None:
        assert upkeep.run_once() == 1
        assert upkeep.run_once() == 0
        kept = base.kept.get()
        assert kept is not None
        assert (kept.version, kept.segment("seg-01")["name"]) == (base.registry.active, "Low balance")
        base.registry.label("seg-01", {"name": "Savers"})
        base.clock.time += RENEWED_SECONDS
        base.kept.description = None
        assert upkeep.run_once() == 1
        renewed: Any = base.kept.get()
        assert renewed.segment("seg-01")["name"] == "Savers"

    def test_that_cannot_be_read_stay(self, base: Base, upkeep: DescriptionUpkeep) -> None:
        upkeep.run_once()
        kept = base.kept.get()
        base.model.failure = base.registry.failure = DOWN
        with pytest.raises(ModelUnavailable):
            upkeep.run_once()
        assert base.kept.get() == kept
