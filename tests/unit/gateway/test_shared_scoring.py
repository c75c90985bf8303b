"""Several workers that score everybody anew share the work: hardly a customer is scored by two of them."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from contracts.customers import assignment
from fakes.assignments import Workshop
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import stored

from gateway.services.assignments import reconciler as reconciliation

CUSTOMERS = 1_000


class Anywhere(InMemoryCustomerStore):
    """Lets each worker begin at another customer, as MongoDB does."""

    def somewhere(self) -> str | None:
        return random.choice(list(self.customers)) if self.customers else None


class Model(FakeModel):
    """Takes its time, so that workers overlap."""

    def __init__(self) -> None:
        super().__init__("v2")
        self.meanwhile = lambda: time.sleep(0.001)

    @property
    def scored(self) -> int:
        """How many customers it has scored."""
        return sum(rows for method, rows in self.calls if method == "score")


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_customers(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "BATCH", 10)
    store, models = Anywhere(), [Model() for _ in range(workers)]
    store.insert_many([stored(f"C{n:04d}", assignment()) for n in range(CUSTOMERS)])
    with ThreadPoolExecutor(workers) as pool:
        runs = [pool.submit(Workshop(store).worker(model).run_once) for model in models]
        assert sum(run.result() for run in runs) == CUSTOMERS
    # Where two meet, what both have in hand is lost: of these hundred batches it is many.
    assert sum(model.scored for model in models) < 1.6 * CUSTOMERS
    assert {c["segment"]["model_version"] for c in store.customers.values()} == {"v2"}
