"""Several workers that score everybody anew share the work: hardly a customer is scored by two of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

import pytest
from contracts.customers import assignment
from fakes.assignments import AssignmentHarness
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import stored

from gateway.services.assignments import reconciler as reconciliation

CUSTOMERS = 500
BATCH = 5


class Turns:
    """Lets one worker at a time go on, in a ring: they overlap as much as they can, and alike on every machine."""

    def __init__(self, workers: int) -> None:
        self._turns = [Semaphore(0) for _ in range(workers)]
        self._ring = list(range(workers))

    def run(self, worker: int, work: Callable[[], int]) -> int:
        """Do the work of one when its turn comes, and leave the ring."""
        self._turns[worker].acquire()
        try:
            return work()
        finally:
            following = self._following(worker)
            self._ring.remove(worker)
            if self._ring:
                self._turns[following].release()

    def begin(self) -> None:
        """Give the first one its turn."""
        self._turns[self._ring[0]].release()

    def pass_on(self, worker: int) -> None:
        """Let the others have a turn each, and wait for the own one."""
        self._turns[self._following(worker)].release()
        self._turns[worker].acquire()

    def _following(self, worker: int) -> int:
        return self._ring[(self._ring.index(worker) + 1) % len(self._ring)]


class Anywhere(InMemoryCustomerStore):
    """Lets each worker begin at another customer, as MongoDB does; the dice fall alike in every run."""

    def __init__(self) -> None:
        super().__init__()
        self._dice = random.Random(7)

    def somewhere(self) -> str | None:
        return self._dice.choice(list(self.customers)) if self.customers else None


def scored(workers: int, store: InMemoryCustomerStore) -> int:
    """Let the workers score all customers by turns; return how many customers were scored, twice or not."""
    turns, models = Turns(workers), [FakeModel("v2") for _ in range(workers)]
    for worker, model in enumerate(models):
        model.meanwhile = lambda worker=worker: turns.pass_on(worker)  # type: ignore[misc]
    store.insert_many([stored(f"C{n:04d}", assignment()) for n in range(CUSTOMERS)])
    with ThreadPoolExecutor(workers) as pool:
        runs = [
            pool.submit(turns.run, worker, AssignmentHarness(store).worker(model).run_once)
            for worker, model in enumerate(models)
        ]
        turns.begin()
        assert sum(run.result() for run in runs) == CUSTOMERS
    assert {c["segment"]["model_version"] for c in store.customers.values()} == {"v2"}
    return sum(rows for model in models for method, rows in model.calls if method == "score")


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_customers(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "BATCH", BATCH)
    assert scored(workers, Anywhere()) < 1.5 * CUSTOMERS


def test_those_that_begin_at_one_place_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the measure can fail: without other places to begin at, both score all customers."""
    monkeypatch.setattr(reconciliation, "BATCH", BATCH)
    assert scored(2, InMemoryCustomerStore()) > 1.8 * CUSTOMERS
