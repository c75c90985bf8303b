"""What is true of every segment counter, store of snapshots and of transitions; subclasses give empty fixtures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from support.customers import stored
from support.segment_histories import START, History

from contracts.customers import assignment
from gateway.services.customers.customer import Customer
from gateway.services.customers.store import CustomerStore
from gateway.services.models.descriptions import Description, KeptDescriptions
from gateway.services.models.segment_snapshots import (
    FIGURES,
    Amount,
    Comparison,
    Kind,
    SegmentCounter,
    Snapshot,
    Snapshots,
    Step,
    Tally,
)
from gateway.services.models.transitions import TransitionStore

FIRST = Kind("seg-01", "v1")


class SegmentCounterContract:
    """Needs a `counter` of the customers in `store`."""

    def test_of_nobody(self, counter: SegmentCounter) -> None:
        assert counter.is_empty()
        assert counter.count()[1] == {}

    def test_counts_and_sums_what_is_known(self, counter: SegmentCounter, store: CustomerStore) -> None:
        sure = assignment() | {"confidence": 0.9}
        store.insert_many(
            [
                stored("A", assignment(), BALANCE=10.0, CREDIT_LIMIT=100.0),
                stored("B", sure, BALANCE=30.0, CREDIT_LIMIT=None),  # type: ignore[arg-type]
                stored("C", assignment(version="v0"), BALANCE=0.0, CREDIT_LIMIT=50.0),
                stored("D", BALANCE=1.0),
            ]
        )
        at, tallies = counter.count()
        assert isinstance(at, datetime)
        assert set(tallies) == {FIRST, Kind("seg-01", "v0"), Kind(None, None)}
        first = tallies[FIRST]
        assert (first.size, first.borderline) == (2, 1)
        assert first.amounts["BALANCE"] == Amount(2, 40.0)
        assert first.amounts["CREDIT_LIMIT"] == Amount(1, 100.0)
        assert first.amounts["UTILISATION"] == Amount(1, 0.1)
        assert tallies[Kind(None, None)].size == 1
        assert not counter.is_empty()

    def test_the_mark_changes_with_every_write_and_not_by_reading(
        self, counter: SegmentCounter, store: CustomerStore
    ) -> None:
        def write(customer: Customer) -> None:
            store.insert(customer)

        steps: list[Callable[[], object]] = [
            lambda: write(stored("A")),
            lambda: store.insert_many([stored("B"), stored("C")]),
            lambda: store.delete("A"),
        ]
        marks = [counter.mark()]
        for step in steps:
            step()
            marks.append(counter.mark())
            store.get("B")
            counter.count()
            assert counter.mark() == marks[-1]
        assert all(one != other for one, other in pairwise(marks))


def snapshot(at: datetime, size: int = 1, version: str | None = "v1") -> Snapshot:
    """Return a snapshot of so many customers of one segment."""
    amounts = {name: Amount(size, float(size)) for name in FIGURES}
    return Snapshot(at, {FIRST: Tally(size, 0, amounts)}, 7, version)


class SnapshotsContract:
    """Needs `snapshots`."""

    def test_before_any_worker(self, snapshots: Snapshots) -> None:
        assert snapshots.current() is None
        assert snapshots.page(Step.HOUR, None, None, None, 10) == []

    def test_one_worker_leads_until_its_time_is_up(self, snapshots: Snapshots) -> None:
        assert snapshots.lead("one", 60)
        assert not snapshots.lead("two", 60)
        assert snapshots.lead("one", 0)
        current = snapshots.current()
        assert current is not None
        assert (current.snapshot, current.state, current.alive) == (None, "computing", False)
        assert snapshots.lead("two", 60)
        assert not snapshots.lead("one", 60)

    def test_the_current_one_is_what_the_leader_kept_last(self, snapshots: Snapshots) -> None:
        snapshots.lead("one", 60)
        kept = snapshot(START)
        snapshots.keep("one", kept)
        current = snapshots.current()
        assert current is not None
        assert (current.snapshot, current.state, current.since, current.alive) == (kept, "fresh", START, True)
        snapshots.keep("two", snapshot(START + timedelta(minutes=1)))
        snapshots.note("two", "failed", "not the leader")
        snapshots.note_comparison("two", _comparison(agrees=False))
        assert snapshots.current() == current

    def test_a_state_stays_since_it_began(self, snapshots: Snapshots) -> None:
        snapshots.lead("one", 60)
        states = []
        for reason in ("first", "second"):
            snapshots.note("one", "failed", reason)
            states.append(snapshots.current())
        first, second = states
        assert first is not None
        assert second is not None
        assert (first.reason, second.reason, second.state) == ("first", "second", "failed")
        assert first.since == second.since

    def test_a_comparison_is_kept(self, snapshots: Snapshots) -> None:
        snapshots.lead("one", 60)
        snapshots.note_comparison("one", _comparison(agrees=True))
        current = snapshots.current()
        assert current is not None
        assert current.comparison == _comparison(agrees=True)

    def test_of_every_step_the_last_is_a_point(self, snapshots: Snapshots) -> None:
        minutes = [0, 0.5, 1, 61, 26 * 60]
        kept = [snapshot(START + timedelta(minutes=m), n + 1, None) for n, m in enumerate(minutes)]
        for each in kept:
            snapshots.keep("anybody", each)
        snapshots.keep("held up", snapshot(START + timedelta(seconds=59), 99))
        snapshots.keep("held up", snapshot(START + timedelta(seconds=1), 99))

        def points(step: Step, **period: Any) -> list[int]:
            times = {"since": None, "until": None, "after": None, "limit": 10} | period
            return [point.tallies[FIRST].size for _, point in snapshots.page(step, **times)]

        assert points(Step.MINUTE) == [99, 3, 4, 5]
        assert points(Step.HOUR) == [3, 4, 5]
        assert points(Step.DAY) == [4, 5]
        assert points(Step.HOUR, since=kept[3].as_of) == [3, 4, 5], "what held then comes first"
        assert points(Step.HOUR, since=START + timedelta(minutes=2), until=kept[4].as_of) == [3, 4]
        assert points(Step.HOUR, since=datetime(2030, 1, 1)) == [5]
        assert points(Step.HOUR, since=datetime(2020, 1, 1), limit=1) == [3]

    def test_pages_go_on_behind_a_point(self, snapshots: Snapshots) -> None:
        for hour in range(5):
            snapshots.keep("anybody", snapshot(START + timedelta(hours=hour), hour + 1))
        since, sizes, after = START + timedelta(hours=1, minutes=30), [], None
        while found := snapshots.page(Step.HOUR, since, None, after, 2):
            sizes += [point.tallies[FIRST].size for _, point in found]
            after = found[-1][0]
        assert sizes == [2, 3, 4, 5]

    @pytest.mark.parametrize("step", Step)
    def test_a_page_has_points_of_one_step_whatever_it_follows(self, snapshots: Snapshots, step: Step) -> None:
        snapshots.keep("anybody", snapshot(START, 1))
        for other in Step:
            [(end, _)] = snapshots.page(other, None, None, None, 1)
            assert {name.partition(".")[0] for name, _ in snapshots.page(step, None, None, end, 10)} <= {step}


def _comparison(*, agrees: bool) -> Comparison:
    return Comparison(at=START, as_of=START, agrees=agrees, differences=[] if agrees else ["segment seg-01"])


class DescriptionsContract:
    """Needs `descriptions`."""

    def test_the_latest_is_kept(self, descriptions: KeptDescriptions) -> None:
        assert descriptions.get() is None
        old, new = (Description(v, [], START + timedelta(n)) for n, v in enumerate(("v1", "v2")))
        descriptions.keep(new)
        descriptions.keep(old)
        assert descriptions.get() == new
        later = Description("v1", [{"id": "seg-01", "name": "Savers"}], START + timedelta(2))  # type: ignore[typeddict-item]
        descriptions.keep(later)
        assert descriptions.get() == later


Load = Callable[[Sequence[Customer], Sequence[dict[str, Any]]], TransitionStore]


class TransitionStoreContract:
    """Needs `load`, which makes `TransitionStore` over customers and entries of the change log."""

    @pytest.mark.parametrize("seed", range(4))
    def test_moves_are_those_between_the_states_at_both_times(self, load: Load, seed: int) -> None:
        history = History(seed)
        customers = {customer["CUST_ID"]: customer for customer in history.customers()}
        moves = load(list(customers.values()), history.entries)
        times = sorted(history.states)
        for _ in range(25):
            since, until = sorted(history.random.sample(times, 2))
            expected, causes = history.moves(since, until)
            found, erased = moves.between(since, until)
            matrix: Counter[tuple[str | None, str | None]] = Counter()
            told: Counter[str] = Counter()
            for move in found:
                matrix[move.source, move.target] += move.customers
                told[move.cause or "deleted"] += move.customers
            assert (matrix, told, erased) == (expected, causes, 0), (since, until)
            before, after = history.states[since], history.states[until]
            there = [c for i, c in customers.items() if before.get(i) != after.get(i)]
            assert sum(move.there.size for move in found) == len(there)
            balance = sum(move.there.amounts["BALANCE"].total for move in found)
            assert balance == sum(customer["BALANCE"] for customer in there)  # type: ignore[typeddict-item]

    def test_erased_ones_are_left_out_and_counted(self, load: Load) -> None:
        history = History(0)
        nobody = {"subject": {"type": "customer", "id": None}, "erased": True}
        erased = [entry | nobody if entry["subject"]["id"] in "ABCD" else entry for entry in history.entries]
        left = [customer for customer in history.customers() if customer["CUST_ID"] not in "ABCD"]
        since, *_, until = sorted(history.states)
        found, number = load(left, erased).between(since, until)
        assert 0 < sum(move.customers for move in found) < history.moves(since, until)[0].total()
        assert number == sum(entry.get("erased", False) for entry in erased)
