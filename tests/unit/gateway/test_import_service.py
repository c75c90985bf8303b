"""The import on fakes: what the receipt says, repeats, interruptions and others who write at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from fakes.customers import inputs, stored
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore

from gateway.services.assignment import Assigner
from gateway.services.errors import Contended, StoreUnavailable
from gateway.services.imports import MAX_LISTED_ERRORS, Batch, ImportService, Interrupted, Receipt, RowFault
from gateway.services.ports import Customer
from shared.features import complete


def batch(*customers: tuple[str, dict[str, Any]], faults: int = 0) -> Batch:
    listed = [RowFault(line=line, column="BALANCE", detail="is wrong") for line in range(faults)]
    return Batch([(i, complete(inputs(**changes))) for i, changes in customers], listed, faults)


def counts(receipt: Receipt) -> dict[str, int]:
    return {name: value for name, value in asdict(receipt).items() if isinstance(value, int) and value}


@pytest.fixture
def imports(store: InMemoryCustomerStore, model: FakeModel) -> ImportService:
    return ImportService(store, Assigner(model, 0.5))


def test_counts_created_updated_unchanged_and_rejected(imports: ImportService, store: InMemoryCustomerStore) -> None:
    imports.run([batch(("A", {}), ("B", {}))], Receipt())
    receipt = imports.run([batch(("A", {}), ("B", {"BALANCE": 5_000}), ("C", {}), faults=3)], Receipt())
    assert counts(receipt) == {"created": 1, "updated": 1, "unchanged": 1, "rejected": 3}
    assert receipt.rows == 6
    assert store.customers["B"]["segment"]["id"] == "seg-02"


def test_the_same_file_twice_changes_nothing(
    imports: ImportService, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    rows = [batch(("A", {}), ("B", {"BALANCE": 5.0})), batch(("C", {}))]
    imports.run(rows, Receipt())
    before, model.calls = dict(store.customers), []
    assert counts(imports.run(rows, Receipt())) == {"unchanged": 3}
    assert store.customers == before
    assert model.calls == []


def test_customers_come_with_their_segments_in_one_call(
    imports: ImportService, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    imports.run([batch(("A", {}), ("B", {"BALANCE": 5_000}))], Receipt())
    assert [store.customers[i]["segment"]["id"] for i in "AB"] == ["seg-01", "seg-02"]
    assert model.calls == [("score", 2)]


def test_customers_are_pending_while_the_model_is_away(
    imports: ImportService, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    imports.run([batch(("A", {}))], Receipt())
    model.failure = DOWN
    receipt = imports.run([batch(("A", {"BALANCE": 5.0}), ("B", {}), ("C", {}))], Receipt())
    assert counts(receipt) == {"created": 2, "updated": 1, "pending": 3}
    assert {c["segment_status"] for c in store.customers.values()} == {"pending"}


def test_the_last_of_a_customers_rows_wins_within_one_batch(
    imports: ImportService, store: InMemoryCustomerStore
) -> None:
    rows = batch(("A", {"BALANCE": 1.0}), ("B", {}), ("A", {"BALANCE": 2.0}), ("A", {"BALANCE": 2.0}), ("B", {}))
    assert counts(imports.run([rows], Receipt())) == {"created": 2, "updated": 1, "unchanged": 2}
    assert store.customers["A"]["BALANCE"] == 2.0


def test_an_updated_customer_keeps_when_it_was_created(imports: ImportService, store: InMemoryCustomerStore) -> None:
    imports.run([batch(("A", {}))], Receipt())
    before = store.customers["A"]
    imports.run([batch(("A", {"BALANCE": 5.0}))], Receipt())
    assert store.customers["A"]["created_at"] == before["created_at"]
    assert store.customers["A"]["revision"] != before["revision"]


def test_lists_the_first_faults_and_counts_all(imports: ImportService) -> None:
    receipt = imports.run([batch(faults=60), batch(faults=60), batch(faults=60)], Receipt())
    assert receipt.rejected == receipt.rows == 180
    assert len(receipt.errors) == MAX_LISTED_ERRORS


def test_a_file_without_rows(imports: ImportService, model: FakeModel) -> None:
    assert counts(imports.run([], Receipt())) == counts(imports.run([batch()], Receipt())) == {}
    assert model.calls == []


def test_shows_progress_after_every_batch(imports: ImportService) -> None:
    seen: list[int] = []
    imports.run([batch(("A", {})), batch(("B", {}), faults=1)], Receipt(), lambda r: seen.append(r.rows))
    assert seen == [1, 3]


def test_an_interruption_tells_what_was_stored(imports: ImportService, store: InMemoryCustomerStore) -> None:
    def fail(_: Receipt) -> None:
        store.failure = StoreUnavailable("the database cannot be reached")

    with pytest.raises(Interrupted, match="stopped after 2 rows: the database cannot be reached") as caught:
        imports.run([batch(("A", {}), faults=1), batch(("B", {}))], Receipt(), fail)
    assert counts(caught.value.receipt) == {"created": 1, "rejected": 1}
    assert list(store.customers) == ["A"]


def test_sending_the_file_again_finishes_it(imports: ImportService, store: InMemoryCustomerStore) -> None:
    def fail(_: Receipt) -> None:
        store.failure = StoreUnavailable("away")

    rows = [batch(("A", {})), batch(("B", {}))]
    with pytest.raises(Interrupted):
        imports.run(rows, Receipt(), fail)
    store.failure = None
    assert counts(imports.run(rows, Receipt())) == {"created": 1, "unchanged": 1}


class OthersWrite(InMemoryCustomerStore):
    """A store in which others write customer A between a read and the write that follows, `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        found = super().get_many(cust_ids)
        if self.times:
            self.times -= 1
            self.customers["A"] = stored("A", TENURE=6 + self.times % 2)
        return found


@pytest.mark.parametrize("there_before", [True, False])
def test_starts_over_for_customers_that_others_wrote_meanwhile(there_before: bool) -> None:
    store = OthersWrite(times=2)
    if there_before:
        store.insert(stored("A"))
    imports = ImportService(store, Assigner(FakeModel(), 0.5))
    receipt = imports.run([batch(("A", {"BALANCE": 5.0}), ("B", {}))], Receipt())
    assert counts(receipt) == {"created": 1, "updated": 1}
    assert (store.customers["A"]["BALANCE"], store.customers["A"]["TENURE"]) == (5.0, 12)


def test_counts_a_pending_customer_once_when_it_starts_over() -> None:
    model = FakeModel()
    model.failure = DOWN
    receipt = ImportService(OthersWrite(times=3), Assigner(model, 0.5)).run([batch(("A", {"BALANCE": 5.0}))], Receipt())
    assert counts(receipt) == {"updated": 1, "pending": 1}


def test_gives_up_when_others_never_stop() -> None:
    imports = ImportService(OthersWrite(times=10**9), Assigner(FakeModel(), 0.5))
    with pytest.raises(Interrupted, match="others keep changing customer 'A'") as caught:
        imports.run([batch(("A", {"BALANCE": 5.0}), ("B", {}))], Receipt())
    assert isinstance(caught.value.__cause__, Contended)
    assert counts(caught.value.receipt) == {"created": 1}
