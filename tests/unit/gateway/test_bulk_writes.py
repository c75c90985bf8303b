"""Many customers in one write on fakes: verdicts, conditions, and others who write at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes.audit import InMemoryAuditTrail, auditor
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, stored

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.bulk_writes import BulkWriter, Mode, Outcome, Verdict
from gateway.services.customers.customer import Customer, Features
from gateway.services.customers.store import MAX_ATTEMPTS
from gateway.services.errors import Contended
from shared.features import CUST_ID, complete


class OthersWrite(InMemoryCustomerStore):
    """A store in which others get in between the reading and the writing of many, `times` times."""

    def __init__(self, times: int, interference: Callable[[InMemoryCustomerStore], object]) -> None:
        super().__init__()
        self.times = times
        self.interference = interference

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        found = super().get_many(cust_ids)
        if self.times:
            self.times -= 1
            self.interference(self)
        return found


def wanted(*cust_ids: str, **changes: Any) -> dict[str, Features]:
    return {cust_id: complete(inputs(**changes)) for cust_id in cust_ids}


def verdicts(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {cust_id: outcome.verdict.value for cust_id, outcome in sorted(outcomes.items())}


@pytest.fixture
def writer(store: InMemoryCustomerStore, model: FakeModel) -> BulkWriter:
    return BulkWriter(store, Assigner(model, 0.5))


class TestUpsert:
    def test_creates_updates_and_leaves_alone(
        self, writer: BulkWriter, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        old, same = stored("old", BALANCE=5.0), stored("same")
        store.insert_many([old, same])
        outcomes = writer.write(wanted("new", "old", "same"))
        assert verdicts(outcomes) == {"new": "created", "old": "updated", "same": "unchanged"}
        assert {i: outcome.revision for i, outcome in outcomes.items()} == {
            i: customer["revision"] for i, customer in store.customers.items()
        }
        assert (outcomes["new"].before, outcomes["old"].before) == (None, old["revision"])
        assert store.customers["same"] == same
        assert store.customers["old"]["created_at"] == old["created_at"]
        assert model.calls == [("score", 2)]

    def test_of_nothing(self, writer: BulkWriter, model: FakeModel) -> None:
        assert writer.write({}) == {}
        assert model.calls == []

    def test_that_changes_nothing_asks_no_model(
        self, writer: BulkWriter, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert(stored("A"))
        assert writer.write(wanted("A"))["A"].pending
        assert model.calls == []

    def test_needs_no_model(self, writer: BulkWriter, store: InMemoryCustomerStore, model: FakeModel) -> None:
        model.failure = DOWN
        store.insert(stored("old", BALANCE=5.0))
        outcomes = writer.write(wanted("new", "old"))
        assert [outcome.pending for outcome in outcomes.values()] == [True, True]
        assert store.segment_counts().pending == 2

    def test_waits_for_the_model_as_long_as_it_is_told_to(self, store: InMemoryCustomerStore, model: FakeModel) -> None:
        BulkWriter(store, Assigner(model, 0.5), deadline=0.3).write(wanted("A"))
        assert model.deadlines == [0.3]

    def test_of_known_revisions(self, writer: BulkWriter, store: InMemoryCustomerStore) -> None:
        known, other = stored("known", BALANCE=5.0), stored("other", BALANCE=5.0)
        store.insert_many([known, other])
        revisions = {"known": known["revision"], "other": "older", "nobody": "any"}
        outcomes = writer.write(wanted("known", "other", "nobody"), expected=revisions)
        assert verdicts(outcomes) == {"known": "updated", "nobody": "absent", "other": "stale"}
        assert store.customers.keys() == {"known", "other"}

    def test_where_revisions_must_be_known(self, store: InMemoryCustomerStore, model: FakeModel) -> None:
        a, b = stored("A", BALANCE=5.0), stored("B", BALANCE=5.0)
        store.insert_many([a, b, stored("same")])
        writer = BulkWriter(store, Assigner(model, 0.5), require_revision=True)
        outcomes = writer.write(wanted("A", "B", "new", "same"), expected={"B": b["revision"]})
        assert verdicts(outcomes) == {"A": "revision_required", "B": "updated", "new": "created", "same": "unchanged"}
        assert store.customers["A"] == a


class TestInsert:
    def test_leaves_those_alone_that_exist(
        self, writer: BulkWriter, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        old = stored("old", BALANCE=5.0)
        store.insert(old)
        outcomes = writer.write(wanted("new", "old"), Mode.INSERT)
        assert verdicts(outcomes) == {"new": "created", "old": "exists"}
        assert (outcomes["old"].revision, outcomes["old"].pending) == (None, False)
        assert store.customers["old"] == old
        assert model.calls == [("score", 2)]


class TestRaces:
    def test_a_customer_whom_another_creates_first_is_updated(self, model: FakeModel) -> None:
        store = OthersWrite(1, lambda store: store.insert(stored("A", BALANCE=5.0)))
        assert verdicts(BulkWriter(store, Assigner(model, 0.5)).write(wanted("A", "B"))) == {
            "A": "updated",
            "B": "created",
        }
        assert store.customers["A"]["BALANCE"] == 100.0

    def test_a_customer_whom_another_deletes_first_is_created(self, model: FakeModel) -> None:
        store = OthersWrite(1, lambda store: store.delete("A"))
        store.insert(stored("A", BALANCE=5.0))
        assert verdicts(BulkWriter(store, Assigner(model, 0.5)).write(wanted("A"))) == {"A": "created"}

    def test_a_customer_whom_another_changes_first_is_updated_on_top_of_that(self, model: FakeModel) -> None:
        changed = stored("A", BALANCE=7.0)
        store = OthersWrite(1, lambda store: store.customers.update(A=changed))
        store.insert(stored("A", BALANCE=5.0))
        outcome = BulkWriter(store, Assigner(model, 0.5)).write(wanted("A"))["A"]
        assert (outcome.verdict, outcome.before) == (Verdict.UPDATED, changed["revision"])

    def test_a_known_revision_that_becomes_stale_meanwhile_is_stale(self, model: FakeModel) -> None:
        store, old = OthersWrite(1, lambda store: store.customers.update(A=stored("A", BALANCE=7.0))), stored("A")
        store.insert(old)
        outcomes = BulkWriter(store, Assigner(model, 0.5)).write(
            wanted("A", BALANCE=9.0), expected={"A": old["revision"]}
        )
        assert verdicts(outcomes) == {"A": "stale"}
        assert store.customers["A"]["BALANCE"] == 7.0

    def test_gives_up_when_others_never_stop(self, model: FakeModel) -> None:
        store = OthersWrite(10**9, lambda store: store.customers.update(A=stored("A", BALANCE=7.0)))
        store.insert(stored("A", BALANCE=5.0))
        with pytest.raises(Contended, match="'A'"):
            BulkWriter(store, Assigner(model, 0.5)).write(wanted("A", "B"))
        assert store.times == 10**9 - MAX_ATTEMPTS
        assert store.customers["B"][CUST_ID] == "B"


def test_only_what_was_written_is_audited(store: InMemoryCustomerStore, model: FakeModel) -> None:
    trail, old = InMemoryAuditTrail(), stored("old", BALANCE=5.0)
    store.insert_many([old, stored("same")])
    writer = BulkWriter(store, Assigner(model, 0.5), auditor=auditor(trail))
    outcomes = writer.write(wanted("new", "old", "same"))
    writer.write(wanted("new"), Mode.INSERT)
    assert sorted((e["action"], e["subject"]["id"], e["before"], e["after"]) for e in trail.newest_first) == [
        ("customer.created", "new", None, outcomes["new"].revision),
        ("customer.replaced", "old", old["revision"], outcomes["old"].revision),
    ]


class TestLikelyNew:
    @pytest.mark.parametrize("likely_new", [False, True])
    def test_changes_nothing_but_the_way(self, model: FakeModel, likely_new: bool) -> None:
        store = InMemoryCustomerStore()
        store.insert_many([stored("old", BALANCE=5.0), stored("same")])
        writer = BulkWriter(store, Assigner(model, 0.5))
        outcomes = writer.write(wanted("new", "old", "same"), likely_new=likely_new)
        assert verdicts(outcomes) == {"new": "created", "old": "updated", "same": "unchanged"}
        assert {i: outcome.revision for i, outcome in outcomes.items()} == {
            i: customer["revision"] for i, customer in store.customers.items()
        }

    def test_looks_only_for_those_that_turn_out_to_be_there(self, model: FakeModel) -> None:
        looked: list[Sequence[str]] = []
        store = InMemoryCustomerStore()
        store.insert(stored("same"))
        get_many = store.get_many
        store.get_many = lambda ids: looked.append(ids) or get_many(ids)  # type: ignore[func-returns-value,method-assign]
        BulkWriter(store, Assigner(model, 0.5)).write(wanted("new", "same"), likely_new=True)
        assert looked == [["same"]]
