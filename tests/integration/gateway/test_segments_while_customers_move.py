"""Sizes, and who moved, on a real mongod while customers are written, imported and scored anew, and workers count."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from fakes.model import LIMIT, FakeModel
from fakes.registry import FakeRegistry
from flask import Flask
from support.customers import inputs

from gateway.services.customers.batches import BatchRow
from gateway.services.customers.bulk_writes import Mode
from gateway.services.customers.customer import Customer
from gateway.services.errors import SegmentationError, SegmentsBeingCounted
from gateway.services.models.segment_snapshots import SegmentCounter, Sizes, Step, differences
from gateway.settings import Settings
from gateway.stores import Stores, connect, mongo_stores
from gateway.wiring import Services, assemble

CUSTOMERS = 60
SETTINGS = Settings()


class Busy:
    """The services on a real mongod, with threads that work until the end of a `with` block."""

    def __init__(self, uri: str) -> None:
        self.settings = SETTINGS.model_copy(update={"mongodb_uri": uri})
        self._database = connect(Flask("test"), self.settings)
        self.stores: Stores = mongo_stores(self._database, self.settings)
        self.stores.schema.bring_up_to_date()
        self.stores.changes.memory()  # with which the log begins
        self.model = FakeModel()
        self.services = self.another()
        self.faults: list[BaseException] = []

    def another(self, **stores: object) -> Services:
        """Return the services of another process."""
        return assemble(replace(self.stores, **stores), self.model, FakeRegistry(), self.settings)

    @contextlib.contextmanager
    def going_on(self, *work: Callable[[], object]) -> Iterator[None]:
        """Let each go on again and again, in a thread of its own."""
        done = threading.Event()

        def repeat(each: Callable[[], object]) -> None:
            while not done.is_set():
                try:
                    each()
                except BaseException as error:  # noqa: BLE001  # shown by the test
                    self.faults.append(error)
                    return
                time.sleep(0.002)

        threads = [threading.Thread(target=repeat, args=[each]) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert self.faults == []

    def put(self, *numbers: int) -> None:
        """Store customers, by a batch."""
        rows = [BatchRow(f"C{n:03}", inputs(BALANCE=float(n))) for n in numbers]
        self.services.batches.write(rows, Mode.UPSERT)

    def agreeing(self) -> Sizes:
        """Return the sizes once they are those of the list, which is a moment after the last change."""
        listed, found = self.stores.customers.segment_counts(), ["nothing was counted"]
        give_up_at = time.monotonic() + 20
        while time.monotonic() < give_up_at:
            with contextlib.suppress(SegmentsBeingCounted):
                sizes = self.services.segments.sizes.now()
                found = differences(sizes.snapshot, listed)
                if not found and sizes.state == "fresh":
                    return sizes
            time.sleep(0.02)
        raise AssertionError(found)

    def customers(self) -> list[Customer]:
        found = self.stores.customers.get_many([f"C{n:03}" for n in range(CUSTOMERS)])
        return list(found.values())  # type: ignore[arg-type]

    def drain(self) -> None:
        self.services.assignments.reconciler.run_once()
        self.services.relay.run_once()

    def close(self) -> None:
        self._database.client.close()


@pytest.fixture
def busy(mongodb_uri: str) -> Iterator[Busy]:
    busy = Busy(mongodb_uri)
    yield busy
    busy.close()


class WatchedSegmentCounter:
    """A counter that notes what it counted, and whether two were counted at once."""

    def __init__(self, counter: SegmentCounter) -> None:
        self._counter = counter
        self._counting = threading.Lock()
        self.totals: set[int] = set()
        self.overlaps = 0

    def mark(self) -> str:
        return self._counter.mark()

    def is_empty(self) -> bool:
        return self._counter.is_empty()

    def count(self):  # type: ignore[no-untyped-def]
        self.overlaps += not self._counting.acquire(blocking=False)
        at, tallies = self._counter.count()
        self.totals.add(sum(tally.size for tally in tallies.values()))
        self._counting.release()
        return at, tallies


def test_two_workers_count_what_the_list_has_while_customers_are_written_and_scored_anew(busy: Busy) -> None:
    busy.put(*range(CUSTOMERS))
    counter = WatchedSegmentCounter(busy.stores.segment_counter)
    workers = [busy.another(segment_counter=counter) for _ in range(2)]
    some = random.Random(1)
    versions = iter(range(10**6))

    def write() -> None:
        changes = {"BALANCE": some.uniform(0, 2 * LIMIT)}
        busy.services.customers.patch(f"C{some.randrange(CUSTOMERS):03}", changes)

    def activate() -> None:
        busy.model.current = f"v{next(versions)}"
        busy.services.assignments.reconciler.run_once()

    counting = [worker.segments.counting.run_once for worker in workers]
    with busy.going_on(write, activate, busy.services.relay.run_once, *counting):
        time.sleep(1.5)
    assert counter.totals == {CUSTOMERS}
    assert counter.overlaps == 0
    busy.drain()
    with busy.going_on(*counting):
        sizes = busy.agreeing()
        status = busy.services.segments.sizes.status()
    assert sizes.snapshot.of_version(busy.model.current) == CUSTOMERS
    assert sizes.snapshot.position <= busy.stores.changes.head()
    balance = sum(tally.amounts["BALANCE"].total for tally in sizes.snapshot.tallies.values())
    assert balance == pytest.approx(sum(customer["BALANCE"] for customer in busy.customers()))  # type: ignore[typeddict-item]
    assert status["comparison"] is None or status["comparison"]["agrees"]
    (point,) = busy.services.segments.sizes.page(Step.DAY, None, None, None, 10).items
    assert point["customers"] == CUSTOMERS


def test_moves_are_those_of_the_customers_whatever_happens_to_them(busy: Busy) -> None:
    busy.put(*range(0, CUSTOMERS, 2))
    busy.drain()
    before = {c["CUST_ID"]: c["segment"]["id"] for c in busy.customers() if c["segment"]}
    time.sleep(0.002)
    since = max(c["updated_at"] for c in busy.customers())
    some = random.Random(2)
    services = busy.services

    def happen() -> None:
        cust_id, balance = f"C{some.randrange(CUSTOMERS):03}", some.uniform(0, 2 * LIMIT)
        what: list[Callable[[], object]] = [
            lambda: services.customers.create(cust_id, inputs(BALANCE=balance)),
            lambda: services.customers.patch(cust_id, {"BALANCE": balance}),
            lambda: services.customers.replace(cust_id, inputs(BALANCE=balance)),
            lambda: services.deletions.delete(cust_id),
            lambda: services.deletions.restore(cust_id),
            lambda: services.customer_segments.rescore(cust_id),
        ]
        with contextlib.suppress(SegmentationError):
            some.choice(what)()

    with busy.going_on(happen, services.relay.run_once):
        for _ in range(10):
            answer = services.segments.transitions.between(since)
            assert answer["since"] == since <= answer["until"]
            time.sleep(0.1)
    busy.drain()
    after = {c["CUST_ID"]: c for c in busy.customers() if c["segment"]}
    answer = services.segments.transitions.between(since)
    expected: Counter[tuple[str | None, str | None]] = Counter()
    money: Counter[tuple[str | None, str | None]] = Counter()
    for cust_id in {*before, *after}:
        segment = after[cust_id]["segment"] if cust_id in after else None
        move = (before.get(cust_id), segment["id"] if segment else None)
        if move[0] != move[1]:
            expected[move] += 1
            money[move] += after[cust_id]["BALANCE"] if cust_id in after else 0  # type: ignore[typeddict-item]
    assert {(t["from"], t["to"]): t["customers"] for t in answer["items"]} == expected
    assert {(t["from"], t["to"]): t["money"]["BALANCE"]["sum"] for t in answer["items"]} == pytest.approx(money)
    assert all(sum(t["causes"].values()) == t["customers"] for t in answer["items"])
