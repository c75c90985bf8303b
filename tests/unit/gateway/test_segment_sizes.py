"""Sizes of segments: counted by one thread at a time, which is nobody's request, and no older than is documented."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from contracts.customers import assignment
from fakes.gateway import SEGMENTS, FakeGateway
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, stored
from support.problems import assert_problem

from gateway.services.clock import now
from gateway.services.customers.store import SegmentCounts
from gateway.services.errors import SegmentsBeingCounted, StoreUnavailable
from gateway.services.models import segment_sizes
from gateway.services.models.segment_sizes import OLDEST_SECONDS, SHARE, SegmentSizes, Sizes


class SlowStore(InMemoryCustomerStore):
    """Counts only as fast as it is let, and notes how often; its clock moves by what counting took."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = 0
        self.may_count, self.counting = Event(), Event()
        self.takes, self.time = 0.0, 0.0

    def segment_counts(self) -> SegmentCounts:
        self.counts += 1
        self.counting.set()
        self.may_count.wait()
        self.time += self.takes
        return super().segment_counts()


@pytest.fixture
def slow() -> SlowStore:
    return SlowStore()


@pytest.fixture
def sizes(slow: SlowStore) -> SegmentSizes:
    return SegmentSizes(slow.segment_counts, wait_seconds=0.05, first_wait_seconds=0.05, clock=lambda: slow.time)


def test_a_small_base_is_counted_each_time(slow: SlowStore) -> None:
    sizes = SegmentSizes(slow.segment_counts, wait_seconds=10, clock=lambda: slow.time)
    slow.may_count.set()
    for customers in range(3):
        before = now()
        found = sizes.now()
        assert (found.counts.total, found.as_of >= before) == (customers, True)
        slow.insert(stored(f"C{customers}"))


def test_a_large_one_is_counted_again_only_after_a_multiple_of_what_that_takes(slow: SlowStore) -> None:
    sizes = SegmentSizes(slow.segment_counts, wait_seconds=10, clock=lambda: slow.time)
    slow.may_count.set()
    slow.takes = 1.0
    first = sizes.now()
    slow.insert(stored("NEW"))
    slow.time += SHARE - 0.1
    assert sizes.now() == first
    slow.time += 0.2
    assert sizes.now().counts.total == 1
    assert slow.counts == 2


def test_while_it_is_counted_the_older_sizes_are_told_and_nobody_counts_beside(slow: SlowStore) -> None:
    sizes = SegmentSizes(slow.segment_counts, wait_seconds=0.05, first_wait_seconds=0.05, clock=lambda: slow.time)
    slow.takes = 1.0
    with pytest.raises(SegmentsBeingCounted):
        sizes.now()
    slow.may_count.set()
    first = _once_counted(sizes)
    slow.may_count.clear()
    slow.time += SHARE + 1
    slow.insert(stored("NEW"))
    with ThreadPoolExecutor(8) as pollers:
        found = [poller.result() for poller in [pollers.submit(sizes.now) for _ in range(40)]]
    assert found == [first] * 40
    assert slow.counts == 2
    slow.may_count.set()


def _once_counted(sizes: SegmentSizes) -> Sizes:
    while True:
        try:
            return sizes.now()
        except SegmentsBeingCounted:
            continue


def test_nobody_waits_long_where_nothing_has_been_counted_yet(slow: SlowStore, sizes: SegmentSizes) -> None:
    for _ in range(3):
        with pytest.raises(SegmentsBeingCounted):
            sizes.now()
    assert slow.counts == 1
    slow.may_count.set()


def test_the_first_count_is_waited_for_longer(slow: SlowStore) -> None:
    sizes = SegmentSizes(slow.segment_counts, wait_seconds=0, first_wait_seconds=10)
    slow.may_count.set()
    assert sizes.now().counts.total == 0


def test_sizes_that_are_too_old_are_not_told(slow: SlowStore) -> None:
    sizes = SegmentSizes(slow.segment_counts, wait_seconds=0.05, first_wait_seconds=0.05, clock=lambda: slow.time)
    slow.may_count.set()
    _once_counted(sizes)
    slow.may_count.clear()
    slow.time += OLDEST_SECONDS + 1
    with pytest.raises(SegmentsBeingCounted):
        sizes.now()
    slow.may_count.set()


def test_what_stops_the_counting_is_told_and_it_is_tried_again(slow: SlowStore) -> None:
    sizes = SegmentSizes(slow.segment_counts, wait_seconds=10, clock=lambda: slow.time)
    slow.may_count.set()
    slow.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        sizes.now()
    slow.failure = None
    assert sizes.now().counts.total == 0


def test_what_stopped_the_last_count_is_told_while_another_goes_on(slow: SlowStore) -> None:
    """Such as a database that is away, for which a count waits longer than a request does."""
    sizes = SegmentSizes(slow.segment_counts, wait_seconds=0.05, first_wait_seconds=0.05, clock=lambda: slow.time)
    slow.failure = StoreUnavailable("away")
    with pytest.raises(SegmentsBeingCounted):
        sizes.now()
    slow.may_count.set()
    while True:
        try:
            sizes.now()
        except SegmentsBeingCounted:
            continue
        except StoreUnavailable:
            break
    slow.may_count.clear()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            sizes.now()
    slow.may_count.set()


def test_counting_takes_no_place_from_predictions(slow: SlowStore) -> None:
    gateway = FakeGateway(store=slow)
    for _ in range(2 * gateway.settings.threads):
        assert_problem(gateway.client.get(SEGMENTS), 503, "segments_being_counted")
    assert gateway.client.post("/api/v1/predictions", json=inputs()).status_code == 200
    slow.may_count.set()


def test_segments_say_as_of_when_and_how_many_are_outdated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_sizes, "CHEAP_SECONDS", 60.0)  # however busy this machine is
    gateway = FakeGateway()
    gateway.store.insert_many([stored("A", assignment()), stored("B", assignment(version="v0")), stored("C")])
    before = now()
    answer = gateway.client.get(SEGMENTS).json
    assert {name: answer[name] for name in ("customers", "pending", "outdated")} == {
        "customers": 3,
        "pending": 1,
        "outdated": 1,
    }
    assert answer["as_of"] >= f"{before.isoformat(timespec='milliseconds')}Z"
    assert gateway.client.get(f"{SEGMENTS}/seg-01").json["as_of"] >= answer["as_of"]
    gateway.model.current = "v2"
    assert gateway.client.get(SEGMENTS).json["outdated"] == 2
    gateway.services.reconciler.run_once()
    assert {name: gateway.client.get(SEGMENTS).json[name] for name in ("pending", "outdated")} == {
        "pending": 0,
        "outdated": 0,
    }
