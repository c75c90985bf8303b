"""Many customers in one write on fakes: verdicts, conditions, and others who write at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from contracts.customers import AT, assignment
from fakes.changes import InMemoryChangeLog, InMemoryOutboxes
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import ORIGIN, inputs, origin, stored

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.bulk_writes import BulkWriter, Mode, Outcome, Verdict
from gateway.services.customers.customer import Customer, Features
from gateway.services.customers.customers import MOST_WAITING
from gateway.services.customers.store import MAX_ATTEMPTS
from gateway.services.errors import Contended
from gateway.services.events.change import Entry
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
    return BulkWriter(store, Assigner(model, 0.5), origin)


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
        BulkWriter(store, Assigner(model, 0.5), origin, deadline=0.3).write(wanted("A"))
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
        writer = BulkWriter(store, Assigner(model, 0.5), origin, require_revision=True)
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
        assert verdicts(BulkWriter(store, Assigner(model, 0.5), origin).write(wanted("A", "B"))) == {
            "A": "updated",
            "B": "created",
        }
        assert store.customers["A"]["BALANCE"] == 100.0

    def test_a_customer_whom_another_deletes_first_is_created(self, model: FakeModel) -> None:
        store = OthersWrite(1, lambda store: store.delete("A"))
        store.insert(stored("A", BALANCE=5.0))
        assert verdicts(BulkWriter(store, Assigner(model, 0.5), origin).write(wanted("A"))) == {"A": "created"}

    def test_a_customer_whom_another_changes_first_is_updated_on_top_of_that(self, model: FakeModel) -> None:
        changed = stored("A", BALANCE=7.0)
        store = OthersWrite(1, lambda store: store.customers.update(A=changed))
        store.insert(stored("A", BALANCE=5.0))
        outcome = BulkWriter(store, Assigner(model, 0.5), origin).write(wanted("A"))["A"]
        assert (outcome.verdict, outcome.before) == (Verdict.UPDATED, changed["revision"])

    def test_a_known_revision_that_becomes_stale_meanwhile_is_stale(self, model: FakeModel) -> None:
        store, old = OthersWrite(1, lambda store: store.customers.update(A=stored("A", BALANCE=7.0))), stored("A")
        store.insert(old)
        outcomes = BulkWriter(store, Assigner(model, 0.5), origin).write(
            wanted("A", BALANCE=9.0), expected={"A": old["revision"]}
        )
        assert verdicts(outcomes) == {"A": "stale"}
        assert store.customers["A"]["BALANCE"] == 7.0

    def test_gives_up_when_others_never_stop(self, model: FakeModel) -> None:
        store = OthersWrite(10**9, lambda store: store.customers.update(A=stored("A", BALANCE=7.0)))
        store.insert(stored("A", BALANCE=5.0))
        with pytest.raises(Contended, match="'A'"):
            BulkWriter(store, Assigner(model, 0.5), origin).write(wanted("A", "B"))
        assert store.times == 10**9 - MAX_ATTEMPTS
        assert store.customers["B"][CUST_ID] == "B"


def told(store: InMemoryCustomerStore) -> dict[str, list[Entry]]:
    """What waits to be told of each customer, by CUST_ID."""
    return {i: customer.get("outbox", []) for i, customer in sorted(store.customers.items())}


class TestWhatIsTold:
    def test_of_a_batch_is_an_entry_in_each_customer_that_was_written(
        self, writer: BulkWriter, store: InMemoryCustomerStore
    ) -> None:
        old = stored("old", assignment(), BALANCE=5_000)
        store.insert_many([old, stored("same")])
        outcomes = writer.write(wanted("new", "old", "same"))
        writer.write(wanted("new"), Mode.INSERT)
        entries = told(store)
        assert entries.pop("same") == []
        assert [(e["type"], e["seq"], e["before"], e["after"]) for (e,) in entries.values()] == [
            ("customer.created", 1, None, outcomes["new"].revision),
            ("customer.updated", 1, old["revision"], outcomes["old"].revision),
        ]
        for (entry,) in entries.values():
            assert (entry["cause"], entry["actor"]) == ("customer_data", ORIGIN.actor)
            assert (entry["request_id"], entry["address"]) == ("request-1", "192.0.2.1")
        assert {"segment": entries["new"][0]["segment"]["to"], "seq": store.customers["new"]["seq"]} == {
            "segment": "seg-01",
            "seq": 1,
        }
        assert (entries["old"][0]["fields"], entries["old"][0]["values"]) == (["BALANCE"], {"BALANCE": [5_000, 100.0]})
        assert "segment" not in entries["old"][0], "it stays where it is"

    def test_of_an_import_are_those_that_move(self, store: InMemoryCustomerStore, model: FakeModel) -> None:
        writer = BulkWriter(store, Assigner(model, 0.5), origin, cause="import")
        stays, moves, comes = (stored(i, assignment(), BALANCE=5.0) for i in ("stays", "moves", "comes"))
        comes["segment"], comes["segment_status"] = None, "pending"
        store.insert_many([stays, moves, comes])
        writer.write({**wanted("new", "stays", "comes"), **wanted("moves", BALANCE=5_000)})
        entries = told(store)
        assert {i: len(of_one) for i, of_one in entries.items()} == {"new": 0, "stays": 0, "moves": 1, "comes": 1}
        assert {i: customer["seq"] for i, customer in store.customers.items() if not entries[i]} == {
            "new": 0,
            "stays": 0,
        }
        (moved,), (came,) = entries["moves"], entries["comes"]
        assert (moved["type"], moved["cause"], moved["fields"]) == ("customer.updated", "import", ["BALANCE"])
        assert (moved["segment"]["from"], moved["segment"]["to"]) == ("seg-01", "seg-02")
        assert (came["segment"]["from"], came["segment"]["to"]) == (None, "seg-01")
        new, still = store.customers["new"]["segment"], store.customers["stays"]["segment"]
        assert (new["cause"], new["since"]) == ("import", store.customers["new"]["created_at"])
        assert (still["cause"], still["since"]) == ("import", stays["segment"]["since"])

    def test_pending_customers_keep_what_made_them_due(self, store: InMemoryCustomerStore, model: FakeModel) -> None:
        old = stored("old", assignment(), BALANCE=5.0)
        store.insert(old)
        model.failure = DOWN
        BulkWriter(store, Assigner(model, 0.5), origin, cause="import").write(wanted("new", "old"))
        due = {"cause": "import", "actor": ORIGIN.actor, "by": None, "request_id": "request-1", "address": "192.0.2.1"}
        assert store.customers["new"]["due"] == {**due, "was": None}
        assert store.customers["old"]["due"] == {**due, "was": "seg-01"}
        (entry,) = told(store)["old"]
        assert (entry["segment"]["from"], entry["segment"]["to"]) == ("seg-01", None)


def test_whose_entries_are_too_many_has_them_moved_first(store: InMemoryCustomerStore, model: FakeModel) -> None:
    store.insert_many([stored("full"), stored("free")])
    store.customers["full"] |= {"seq": MOST_WAITING - 1, "outbox": [{"at": AT}]}  # type: ignore[typeddict-item]
    log = InMemoryChangeLog()
    writer = BulkWriter(store, Assigner(model, 0.5), origin, InMemoryOutboxes(log, store))
    writer.write(wanted("full", "free", BALANCE=7.0))
    assert {i: len(entries) for i, entries in told(store).items()} == {"full": 1, "free": 1}
    assert [entry["subject"]["id"] for entry in log.entries.values()] == ["full"]


class TestLikelyNew:
    @pytest.mark.parametrize("likely_new", [False, True])
    def test_changes_nothing_but_the_way(self, model: FakeModel, likely_new: bool) -> None:
        store = InMemoryCustomerStore()
        store.insert_many([stored("old", BALANCE=5.0), stored("same")])
        writer = BulkWriter(store, Assigner(model, 0.5), origin)
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
        BulkWriter(store, Assigner(model, 0.5), origin).write(wanted("new", "same"), likely_new=True)
        assert looked == [["same"]]
