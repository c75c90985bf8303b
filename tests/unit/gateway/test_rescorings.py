"""What is told of scoring customers anew: who caused it, of whom there is an entry, and one digest at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.assignments import AssignmentHarness, InMemoryRescoringRecords
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import ORIGIN, inputs, origin, stored

from gateway.services.assignments.rescorings import Counts, cause_of
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.bulk_writes import BulkWriter
from gateway.services.customers.customer import Update
from gateway.services.customers.customers import CustomerService
from gateway.services.errors import StoreError
from gateway.services.events.change import Entry
from shared.features import complete
from shared.model_contract import Activation

HIGH = 5_000


def activated(version: str, number: int, kind: str = "activate") -> Activation:
    """An event of the model store."""
    return Activation(  # type: ignore[typeddict-item]  # kind
        version=version,
        at="2030-05-01T12:00:00Z",
        kind=kind,
        reason="",
        by="Ada",
        forced=False,
        id=f"event-{number}",
        number=number,
        before=None,
    )


@pytest.fixture
def harness(store: InMemoryCustomerStore) -> AssignmentHarness:
    harness = AssignmentHarness(store)
    harness.registry.history = [activated("v1", 1)]
    return harness


def entries(store: InMemoryCustomerStore, cust_id: str) -> list[Entry]:
    return store.customers[cust_id].get("outbox", [])


class TestAnEntry:
    def test_is_written_for_those_that_move_and_names_what_made_the_version_active(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        moves, stays = (
            stored("moves", assignment(version="v0"), BALANCE=HIGH),
            stored("stays", assignment(version="v0")),
        )
        store.insert_many([moves, stays])
        harness.worker(model).run_once()
        (entry,) = entries(store, "moves")
        assert (entry["type"], entry["cause"], entry["seq"]) == ("customer.segment_changed", "model_activated", 1)
        assert entry["actor"] == {"kind": "system", "id": "model-store", "name": "Ada"}
        assert (entry["segment"]["from"], entry["segment"]["to"]) == ("seg-01", "seg-02")
        assert (entry["before"], entry["after"]) == (moves["revision"], store.customers["moves"]["revision"])
        assert entries(store, "stays") == []
        still = store.customers["stays"]["segment"]
        assert (still["since"], still["cause"]) == (stays["segment"]["since"], "import")
        assert (still["model_version"], store.customers["stays"]["seq"]) == ("v1", 0)

    def test_after_a_rollback_says_so(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        worker = harness.worker(model)
        store.insert(stored("A", BALANCE=HIGH))
        worker.run_once()
        # The same version again, without a look in between: the cause is that of the last event.
        harness.registry.history += [activated("v2", 2), activated("v1", 3, "rollback")]
        store.insert(stored("B", assignment(version="v2"), BALANCE=HIGH))
        worker.run_once()
        (entry,) = entries(store, "B")
        assert (entry["cause"], entry["actor"]["name"]) == ("rollback", "Ada")
        assert store.customers["B"]["segment"]["cause"] == "rollback"

    def test_of_a_pending_customer_names_the_write_that_made_it_due(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert(stored("patched", assignment(), BALANCE=5.0))
        service = CustomerService(store, Assigner(model, 0.5), harness.outboxes, origin)
        imports = BulkWriter(store, Assigner(model, 0.5), origin, cause="import")
        model.failure = DOWN
        service.create("created", inputs())
        service.patch("patched", {"BALANCE": HIGH})
        imports.write({"imported": complete(inputs())})
        model.failure = None
        harness.worker(model).run_once()
        causes = {"created": "customer_data", "patched": "customer_data", "imported": "import"}
        for cust_id, cause in causes.items():
            *_, entry = entries(store, cust_id)
            assert (entry["type"], entry["cause"]) == ("customer.segment_changed", cause)
            assert (entry["actor"], entry["request_id"], entry["address"]) == (ORIGIN.actor, "request-1", "192.0.2.1")
            assert entry["segment"]["from"] is None
            assert "due" not in store.customers[cust_id]
        assert entries(store, "patched")[-1]["data"] == {"was": "seg-01"}
        assert [e["seq"] for e in entries(store, "patched")] == [1, 2]
        assert store.customers["imported"]["seq"] == 1

    def test_of_a_pending_customer_of_whom_nobody_wrote_down_why_has_no_cause(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        of_before = stored("A")
        of_before.pop("due", None)
        store.insert(of_before)
        harness.worker(model).run_once()
        *_, entry = entries(store, "A")
        assert (entry["type"], entry["cause"]) == ("customer.segment_changed", None)
        assert entry["actor"]["name"] == "unknown"
        assert store.customers["A"]["segment"]["cause"] is None


class TestADigest:
    def test_is_told_once_when_nothing_is_left(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert_many([stored(f"C{n}", assignment(version="v0"), BALANCE=HIGH * (n < 2)) for n in range(5)])
        store.insert(stored("new"))
        workers = [harness.worker(model, name) for name in ("one", "two")]
        for worker in workers * 2:
            worker.run_once()
        (digest,) = harness.digests
        assert digest["data"] == {
            "model_version": "v1",
            "rescored": 5,
            "moved": 2,
            "assigned": 1,
            "list": "/api/v1/customers?model_version=v1",
        }
        assert (digest["cause"], digest["after"]) == ("model_activated", "v1")
        assert digest["subject"] == {"type": "assignments", "id": "v1"}
        assert digest["actor"] == {"kind": "system", "id": "model-store", "name": "Ada"}

    def test_tells_of_each_activation_of_a_version_again(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert(stored("A", assignment(version="v0")))
        worker = harness.worker(model)
        for number, version in enumerate(("v1", "v2", "v1"), start=1):
            model.current = version
            harness.registry.history.append(activated(version, number))
            worker.run_once()
            worker.run_once()
        assert [digest["after"] for digest in harness.digests] == ["v1", "v2", "v1"]

    def test_is_not_told_where_nobody_needed_a_score(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        worker = harness.worker(model)
        worker.run_once()
        store.insert(stored("later"))
        worker.run_once()
        assert worker.run_once() == 0
        assert harness.digests == []

    def test_waits_for_a_worker_that_has_not_counted_yet(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert(stored("A", assignment(version="v0")))
        harness.records.begin("event-1", "another")
        worker = harness.worker(model)
        worker.run_once()
        worker.run_once()
        assert harness.digests == []
        harness.records.add("event-1", "another", Counts(10, 3, 0))
        harness.records.pause("event-1", "another")
        worker.run_once()
        assert [digest["data"]["rescored"] for digest in harness.digests] == [11]

    def test_waits_while_somebody_else_changes_a_customer(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert_many([stored(name, assignment(version="v0")) for name in "AB"])
        service = CustomerService(store, Assigner(FakeModel("v0"), 0.5), harness.outboxes, origin)

        def change() -> None:
            if model.calls[-1][0] == "score":
                model.meanwhile = lambda: None
                service.patch("A", {"BALANCE": 7.0})

        model.meanwhile = change
        worker = harness.worker(model)
        assert worker.run_once() == 1
        assert harness.digests == []
        assert worker.run_once() == 1
        assert [digest["data"]["rescored"] for digest in harness.digests] == [2]
        assert store.customers["A"]["BALANCE"] == 7.0

    def test_is_not_told_of_a_version_that_has_been_replaced_meanwhile(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert(stored("A", assignment(version="v0")))
        worker = harness.worker(model)

        def activate() -> None:
            if model.calls[-1][0] == "score":
                model.current = "v2"
                harness.registry.history.append(activated("v2", 2))

        model.meanwhile = activate
        worker.run_once()
        assert harness.digests == []
        worker.run_once()
        assert [(digest["after"], digest["data"]["rescored"]) for digest in harness.digests] == [("v2", 1)]

    def test_says_nothing_of_those_who_cannot_be_scored_but_is_told(
        self, harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        store.insert_many([stored(name, assignment(version="v0")) for name in "AB"])
        del store.customers["A"]["TENURE"]
        harness.worker(model).run_once()
        assert [digest["data"]["rescored"] for digest in harness.digests] == [1]


class Killed(BaseException):
    """The process ends at this point."""


class Mortal:
    """Lets the n-th use of any of some methods kill the process, just before or just after it has had its effect."""

    def __init__(self, last: int, after: bool) -> None:
        self.left, self.after, self.dead = last, after, False

    def lay_hand_on(self, place: Any, *methods: str) -> None:
        for method in methods:
            setattr(place, method, self._mortal(getattr(place, method)))

    def _mortal(self, use: Any) -> Any:
        def used(*arguments: Any, **options: Any) -> Any:
            self.left -= not self.dead
            if self.dead or (self.left == 0 and not self.after):
                self.dead = True
                raise Killed
            answer = use(*arguments, **options)
            if self.left == 0:
                self.dead = True
                raise Killed
            return answer

        return used


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("last", range(1, 12))
def test_whenever_one_of_two_workers_is_killed_the_digest_is_told_once(
    store: InMemoryCustomerStore, model: FakeModel, last: int, after: bool
) -> None:
    store.insert_many([stored(f"C{n}", assignment(version="v0"), BALANCE=HIGH * (n < 2)) for n in range(4)])
    records, fate = InMemoryRescoringRecords(), Mortal(last, after)
    dying = AssignmentHarness(store, records=records)
    dying.registry.history = [activated("v1", 1)]
    living = replace(dying)
    dying.store, dying.records, dying.outboxes = View(store), View(records), View(living.outboxes)
    fate.lay_hand_on(dying.store, "due", "update_many")
    fate.lay_hand_on(dying.records, "begin", "add", "pause", "others", "end")
    fate.lay_hand_on(dying.outboxes, "add")
    doomed = dying.worker(model, "doomed")
    try:
        doomed.run_once()
        doomed.run_once()
    except Killed:
        pass
    other = living.worker(model, "other")
    other.run_once()
    records.scoring.clear()  # half a minute later
    other.run_once()
    (digest,) = living.digests
    assert {c["segment"]["model_version"] for c in store.customers.values()} == {"v1"}
    moves = [e for c in store.customers.values() for e in c.get("outbox", ())]
    assert [e["type"] for e in moves] == ["customer.segment_changed"] * 2
    assert digest["data"]["rescored"] <= 4


class View:
    """The same thing, with methods that can be replaced."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)


class TestTheCause:
    def test_of_a_version_that_no_event_names_is_unknown(self) -> None:
        cause = cause_of("v9", [activated("v1", 1)])
        assert (cause.id, cause.cause, cause.by) == ("v9", "model_activated", "unknown")

    def test_of_an_event_without_an_id_is_known_by_its_time(self) -> None:
        old = Activation(version="v1", at="2030-05-01T12:00:00Z", kind="activate", reason="", by="Ada", forced=False)
        assert cause_of("v1", [old]).id == "v1 2030-05-01T12:00:00Z"


def test_an_error_of_one_customer_counts_the_others(
    harness: AssignmentHarness, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    store.insert_many([stored(f"C{n}", assignment(version="v0")) for n in range(4)])
    write = store.update_many

    def refuse(updates: list[Update]) -> set[str]:
        if any(update.old["CUST_ID"] == "C2" for update in updates):
            raise StoreError("The database rejected the operation.")
        return write(updates)

    store.update_many = refuse  # type: ignore[method-assign]
    assert harness.worker(model).run_once() == 3
    assert [digest["data"]["rescored"] for digest in harness.digests] == [3]
