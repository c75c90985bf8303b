"""The worker's job on fakes: due customers get their segment, guarded by the revision that was scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.assignments import AssignmentHarness
from fakes.changes import InMemoryOutboxes
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, origin, stored

from gateway import worker
from gateway.services.assignments import reconciler as reconciliation
from gateway.services.assignments import standstill
from gateway.services.assignments.reconciler import Reconciler
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import Customer, Update
from gateway.services.customers.customers import CustomerService
from gateway.services.customers.query import CustomerQuery
from gateway.services.errors import ModelRefused, ModelUnavailable, StoreUnavailable
from shared.contract import ColumnarAnswer
from shared.features import REQUIRED_NAMES


@pytest.fixture
def reconciler(store: InMemoryCustomerStore, model: FakeModel) -> Reconciler:
    return AssignmentHarness(store).worker(model)


def test_assigns_the_pending_and_those_of_another_version(reconciler: Reconciler, store: InMemoryCustomerStore) -> None:
    current = stored("C", assignment())
    store.insert_many([stored("A", BALANCE=5_000), stored("B", assignment(version="v0")), current])
    assert reconciler.run_once() == 2
    assert [store.customers[i]["segment"]["id"] for i in "AB"] == ["seg-02", "seg-01"]
    assert {c["segment"]["model_version"] for c in store.customers.values()} == {"v1"}
    assert {c["segment_status"] for c in store.customers.values()} == {"assigned"}
    assert store.customers["C"] == current


def test_a_new_assignment_is_a_new_revision(reconciler: Reconciler, store: InMemoryCustomerStore) -> None:
    before = stored("A")
    store.insert(before)
    reconciler.run_once()
    after = store.customers["A"]
    assert after["revision"] != before["revision"]
    assert after["updated_at"] == before["updated_at"]


def test_a_second_run_finds_nothing_to_do(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    store.insert(stored("A"))
    reconciler.run_once()
    before, model.calls = dict(store.customers), []
    assert reconciler.run_once() == 0
    assert store.customers == before
    assert model.calls == [("version", 0)]


def test_goes_through_any_number_in_batches(
    store: InMemoryCustomerStore, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "BATCH", 3)
    store.insert_many([stored(f"C{n}") for n in range(10)])
    signs: list[str] = []
    assert AssignmentHarness(store).worker(model).run_once(lambda: signs.append("alive")) == 10
    assert signs == ["alive"] * 4
    assert model.calls == [("version", 0), ("score", 3), ("score", 3), ("score", 3), ("score", 1)]


def test_a_customer_changed_meanwhile_stays_due(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    store.insert_many([stored("A"), stored("B")])
    changed = stored("A", BALANCE=5_000)

    def change() -> None:
        if model.calls[-1][0] == "score":
            store.customers["A"] = changed

    model.meanwhile = change
    assert reconciler.run_once() == 1
    assert store.customers["A"] == changed
    model.meanwhile = lambda: None
    assert reconciler.run_once() == 1
    assert store.customers["A"]["segment"]["id"] == "seg-02"


def test_a_customer_deleted_meanwhile_stays_deleted(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    store.insert(stored("A"))
    model.meanwhile = lambda: store.customers.clear() if model.calls[-1][0] == "score" else None
    assert reconciler.run_once() == 0
    assert store.customers == {}


def test_two_at_once_assign_each_customer_once(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    store.insert_many([stored("A"), stored("B")])
    other_model, others = FakeModel(), []

    def other() -> None:
        if model.calls[-1][0] == "score":
            others.append(AssignmentHarness(store).worker(other_model).run_once())

    model.meanwhile = other
    assert reconciler.run_once() == 0
    assert others == [2]


def test_ends_where_the_model_fails_and_carries_on_later(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "BATCH", 2)
    store.insert_many([stored(name) for name in "ABCDE"])

    def fail_at_the_second_batch() -> None:
        model.failure = DOWN if model.calls.count(("score", 2)) == 2 else None

    model.meanwhile = fail_at_the_second_batch
    with pytest.raises(ModelUnavailable):
        reconciler.run_once()
    assert store.segment_counts().pending == 3
    model.meanwhile, model.failure = lambda: None, None
    assert reconciler.run_once() == 3


def test_finishes_what_writes_left_pending(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    service = CustomerService(store, Assigner(model, 0.5), InMemoryOutboxes(), origin)
    model.failure = DOWN
    service.create("A", inputs())
    model.failure = None
    assert reconciler.run_once() == 1
    assert service.get("A")["segment_status"] == "assigned"


class TestWorker:
    def test_an_attempt_returns_what_stopped_it(
        self, reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
    ) -> None:
        signs: list[str] = []
        assert worker.attempt([reconciler], lambda: signs.append("alive")) is None
        model.failure = DOWN
        assert worker.attempt([reconciler], lambda: signs.append("alive")) is DOWN
        model.failure, store.failure = None, StoreUnavailable("away")
        assert worker.attempt([reconciler], lambda: signs.append("alive")) is store.failure
        assert signs == ["alive"] * 3

    def test_goes_on_through_failures_and_shows_that_it_lives(
        self, reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel, tmp_path: Path
    ) -> None:
        store.insert(stored("A"))
        looks = []

        def play() -> None:
            if model.calls[-1][0] == "version":
                looks.append((tmp_path / "heartbeat").exists())
                model.failure = DOWN if len(looks) < 3 else None
            if len(looks) == 5:
                raise SystemExit

        model.meanwhile = play
        with pytest.raises(SystemExit):
            worker.work([reconciler], 0.001, tmp_path / "heartbeat")
        assert looks == [True] * 5
        assert store.customers["A"]["segment_status"] == "assigned"

    def test_a_fault_that_nobody_foresaw_ends_it(self, reconciler: Reconciler, model: FakeModel) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        model.meanwhile = fail
        with pytest.raises(ZeroDivisionError):
            worker.work([reconciler], 0.001)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def lacking_tenure(store: InMemoryCustomerStore, *ids: str) -> None:
    """Make these customers ones that were stored before there was a TENURE."""
    for identity in ids:
        del store.customers[identity]["TENURE"]


def test_nobody_asks_for_customers_that_lack_what_the_model_needs(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    store.insert_many([stored(f"C{n}", assignment(version="v0")) for n in range(9)])
    lacking_tenure(store, "C3", "C4")
    assert [reconciler.run_once() for _ in range(5)] == [7, 0, 0, 0, 0]
    assert [call for call in model.calls if call[0] != "version"] == [("score", 7)]
    assert [i for i, c in store.customers.items() if c["segment"]["model_version"] == "v0"] == ["C3", "C4"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert "model v1 needs TENURE, which 2 customers lack" in warning


def test_a_model_that_does_not_need_it_assigns_them(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    store.insert_many([stored("A"), stored("B")])
    lacking_tenure(store, "A")
    assert reconciler.run_once() == 1
    model.current, model.required = "v2", tuple(name for name in REQUIRED_NAMES if name != "TENURE")
    assert reconciler.run_once() == 2


def test_a_model_service_that_does_not_say_what_it_needs_needs_everything(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    model.required = None
    store.insert_many([stored("A"), stored("B")])
    lacking_tenure(store, "A")
    assert reconciler.run_once() == 1


def test_a_customer_is_assigned_once_it_has_been_completed(
    reconciler: Reconciler, store: InMemoryCustomerStore, model: FakeModel
) -> None:
    store.insert_many([stored("A"), stored("B")])
    lacking_tenure(store, "A", "B")
    assert reconciler.run_once() == 0
    model.failure = DOWN
    CustomerService(store, Assigner(model, 0.5), InMemoryOutboxes(), origin).patch("A", {"TENURE": 12})
    model.failure = None
    assert reconciler.run_once() == 1
    assert store.customers["A"]["segment_status"] == "assigned"


def test_looking_for_those_who_wait_takes_a_small_part_of_the_time(
    store: InMemoryCustomerStore, model: FakeModel
) -> None:
    clock = Clock()
    store.insert_many([stored(f"C{n}") for n in range(3)])
    lacking_tenure(store, "C0")
    reconciler = AssignmentHarness(store).worker(model, clock=clock)

    def two_seconds() -> None:
        clock.now += 2

    assert reconciler.run_once(two_seconds) == 2
    looks: list[float] = []
    for _ in range(100):
        clock.now += 1
        store.insert(stored(f"N{clock.now:g}"))
        looks += [clock.now] * bool(reconciler.run_once(two_seconds))
    assert len(looks) == 2, "it rests for 40 seconds after 2"
    assert store.segment_counts().pending <= 42


class PickyModel(FakeModel):
    """Refuses a whole batch for one customer with much BALANCE, as a model service with other rules does."""

    whole = False

    def score(
        self, columns: Mapping[str, Sequence[float | int | None]], deadline: float | None = None
    ) -> ColumnarAnswer:
        answer = super().score(columns, deadline)
        if self.whole or max(columns["BALANCE"]) > 1_000_000:  # type: ignore[type-var]  # BALANCE is never null
            raise ModelRefused("BALANCE must be at most 1000000", self.whole)
        return answer


@pytest.fixture
def refused(store: InMemoryCustomerStore) -> InMemoryCustomerStore:
    """The store with nine customers, of which the model refuses one."""
    store.insert_many([stored(f"C{n}", BALANCE=2_000_000 if n == 4 else 1) for n in range(9)])
    return store


def test_a_customer_that_cannot_be_assigned_holds_up_no_other_and_is_remembered(
    refused: InMemoryCustomerStore, caplog: pytest.LogCaptureFixture
) -> None:
    model = PickyModel()
    reconciler = AssignmentHarness(refused).worker(model)
    assert reconciler.run_once() == 8
    asked = len(model.calls)
    assert [reconciler.run_once() for _ in range(5)] == [0] * 5
    assert model.calls[asked:] == [("version", 0)] * 5
    assert [i for i, c in refused.customers.items() if c["segment"] is None] == ["C4"]
    assert caplog.text.count("customer digest-of-C4 cannot be assigned") == 1


def test_a_refused_customer_is_tried_again_when_it_has_changed_for_another_model_and_after_a_while(
    refused: InMemoryCustomerStore,
) -> None:
    model, clock = PickyModel(), Clock()
    reconciler = AssignmentHarness(refused).worker(model, clock=clock)

    def asked() -> bool:
        model.calls.clear()
        reconciler.run_once()
        return ("score", 1) in model.calls

    reconciler.run_once()
    assert not asked()
    refused.customers["C4"]["revision"] = "another"
    assert (asked(), asked()) == (True, False)
    clock.now += standstill.FORGET_SECONDS
    assert (asked(), asked()) == (True, False)
    for customer in refused.customers.values():
        customer["segment"] = None
    model.current = "v2"
    reconciler.run_once()
    assert refused.segment_counts().pending == 1
    refused.customers["C4"] |= stored("C4", BALANCE=5)  # type: ignore[typeddict-item]  # its features
    assert reconciler.run_once() == 1


def test_where_the_tiers_have_different_columns_no_customer_is_blamed(
    refused: InMemoryCustomerStore, caplog: pytest.LogCaptureFixture
) -> None:
    model = PickyModel()
    model.whole = True
    reconciler = AssignmentHarness(refused).worker(model)
    with pytest.raises(ModelRefused):
        reconciler.run_once()
    assert model.calls == [("version", 0), ("score", 9)]
    assert not caplog.records


def test_when_too_many_are_refused_the_pass_ends(
    refused: InMemoryCustomerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standstill, "MOST_REFUSED", 0)
    model = PickyModel()
    with pytest.raises(ModelRefused):
        AssignmentHarness(refused).worker(model).run_once()


class Killed(BaseException):
    """The process ends at this point, without any further step of its own."""


class Mortal(InMemoryCustomerStore):
    """A store whose process is killed at its n-th use, just before or just after the use has had its effect."""

    def __init__(self, last: int, after: bool) -> None:
        super().__init__()
        self.last, self.after = last, after
        self.revive()

    def live(self) -> None:
        """Begin to count uses."""
        self.alive = True

    def revive(self) -> None:
        """Be the store of another process."""
        self.uses, self.alive, self.dead = 0, False, False

    def due(self, model_version: str, after: str | None, limit: int, having: Sequence[str] = ()) -> list[Customer]:
        return self._mortally(lambda _: super(Mortal, self).due(model_version, after, limit, having))

    def update_many(self, updates: Sequence[Update]) -> set[str]:
        return self._mortally(lambda _: super(Mortal, self).update_many(updates))

    def _mortally(self, use: Callable[[bool], Any]) -> Any:
        with self._lock:  # of the process's threads none goes on
            self.uses += self.alive and not self.dead
            last = self.alive and self.uses == self.last
            if self.dead or (last and not self.after):
                self.dead = True
                raise Killed
            answer = use(last)
            if last:
                self.dead = True
                raise Killed
            return answer


class HalfWritten(Mortal):
    """Killed while a batch is being written: MongoDB has taken part of it."""

    def update_many(self, updates: Sequence[Update]) -> set[str]:
        def write(last: bool) -> set[str]:
            half = updates[: len(updates) // 2] if last else updates
            return super(Mortal, self).update_many(half)

        return self._mortally(write)


def _all_by(store: InMemoryCustomerStore) -> set[str]:
    return {c["segment"]["model_version"] for c in store.customers.values()}


@pytest.mark.parametrize("kind", [Mortal, HalfWritten])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("last", range(1, 8))
def test_killed_anywhere_after_an_activation_or_rollback_the_next_one_finishes(
    kind: type[Mortal], last: int, after: bool, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "BATCH", 2)
    store = kind(last, after)
    features = [stored(name, assignment(), BALANCE=5_000 * (name > "C")) for name in "ABCDE"]
    store.insert_many(features)
    for version in ("v2", "v1"):  # an activation, and the rollback
        model.current = version
        store.live()
        try:
            AssignmentHarness(store).worker(model).run_once()
            killed = False
        except Killed:
            killed = True
        assert killed is store.dead is (store.uses == last)
        store.revive()
        assert len(store.customers) == 5
        assert _all_by(store) <= {"v1", "v2"}
        AssignmentHarness(store).worker(model).run_once()
        assert _all_by(store) == {version}
        assert [c["segment"]["id"] for c in store.find(CustomerQuery(limit=9))] == ["seg-01"] * 3 + ["seg-02"] * 2
        assert [c["BALANCE"] for c in store.find(CustomerQuery(limit=9))] == [c["BALANCE"] for c in features]
        assert AssignmentHarness(store).worker(model).run_once() == 0


def test_an_activation_in_the_middle_of_a_pass_is_caught_up_with(
    store: InMemoryCustomerStore, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "BATCH", 2)
    store.insert_many([stored(name) for name in "ABCDE"])

    def activate() -> None:
        if model.calls.count(("score", 2)) == 2:
            model.current = "v2"

    model.meanwhile = activate
    reconciler = AssignmentHarness(store).worker(model)
    reconciler.run_once()
    assert _all_by(store) == {"v1", "v2"}
    reconciler.run_once()
    assert _all_by(store) == {"v2"}
    assert reconciler.run_once() == 0
