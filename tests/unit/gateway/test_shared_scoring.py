"""Several workers that score everybody anew share the work: hardly a customer is scored by two of them."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from contracts.customers import assignment
from fakes.assignments import AssignmentHarness
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import stored

from gateway.services.assignments import reconciler as reconciliation

CUSTOMERS = 500
BATCH = 5


class Anywhere(InMemoryCustomerStore):
    """Lets each worker begin at another customer, as MongoDB does; the dice fall alike in every run."""

    def __init__(self) -> None:
        super().__init__()
        self._dice = random.Random(7)

    def somewhere(self) -> str | None:
        return self._dice.choice(list(self.customers)) if self.customers else None


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_customers(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "BATCH", BATCH)
    store, models = Anywhere(), [FakeModel("v2") for _ in range(workers)]
    for model in models:
        model.meanwhile = lambda: time.sleep(0.001)  # so that they overlap
    store.insert_many([stored(f"C{n:04d}", assignment()) for n in range(CUSTOMERS)])
    with ThreadPoolExecutor(workers) as pool:
        runs = [pool.submit(AssignmentHarness(store).worker(model).run_once) for model in models]
        assert sum(run.result() for run in runs) == CUSTOMERS
    assert {c["segment"]["model_version"] for c in store.customers.values()} == {"v2"}
    # Where two meet, what both have in hand is lost; if they did not share, each would score all of them.
    scored = sum(rows for model in models for method, rows in model.calls if method == "score")
    assert scored < (0.7 * workers + 0.3) * CUSTOMERS
