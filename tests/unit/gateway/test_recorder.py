"""What is told of changes beside the customers: API keys, and what the model service does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fakes.changes import InMemoryOrders, InMemoryOutboxes, recorder
from fakes.gateway import MODELS, SEGMENTS, TRAININGS, FakeGateway
from fakes.registry import FIRST, NEW, OLD
from support.problems import assert_problem

from gateway.services.errors import ModelTimeout, RegistryRefusal, StoreUnavailable
from gateway.services.events.change import ALREADY_ACTIVE, UNKNOWN, Entry, Origin
from gateway.services.events.recorder import Recorder, named
from gateway.services.models.activations import LOOK_SECONDS, ORDER_MINUTES, ModelHistory
from gateway.services.principal import Principal

AWAY = StoreUnavailable("away")
LATE = timedelta(minutes=ORDER_MINUTES + 1)


def _told(entry: Entry) -> tuple[Any, ...]:
    return entry["type"], entry["subject"]["type"], entry["subject"]["id"], entry["before"], entry["after"]


class TestRecorder:
    def test_who_and_where_from(self) -> None:
        outboxes = InMemoryOutboxes()
        clerk = Principal("api_key", "k1", "Clerk", frozenset())
        Recorder(outboxes, InMemoryOrders(), lambda: Origin(clerk, "req-1", "10.0.0.9")).note(
            "import.completed", "import", "i1", data={"created": 1}, cause="import"
        )
        (entry,) = outboxes.entries()
        assert entry["actor"] == {"kind": "api_key", "id": "k1", "name": "Clerk"}
        assert (entry["request_id"], entry["address"], entry["by"]) == ("req-1", "10.0.0.9", None)
        assert (entry["data"], entry["cause"]) == ({"created": 1}, "import")

    def test_without_an_order_nothing_is_asked_for(self) -> None:
        orders = InMemoryOrders()
        orders.failure = AWAY
        asked = []
        with pytest.raises(StoreUnavailable), recorder(None, orders).order("segment.relabelled", "segment", "s1"):
            asked.append(1)
        assert asked == []

    def test_the_order_is_there_before_and_the_entry_after(self) -> None:
        outboxes = InMemoryOutboxes()
        orders = InMemoryOrders(outboxes)
        with recorder(outboxes, orders).order("training.started", "training", None) as entry:
            assert [*orders.orders.values()] == [entry]
            entry["subject"]["id"] = "t1"
        assert orders.orders == {}
        assert [_told(each) for each in outboxes.entries()] == [("training.started", "training", "t1", None, None)]

    def test_what_was_refused_is_not_told(self) -> None:
        outboxes = InMemoryOutboxes()
        orders = InMemoryOrders(outboxes)
        with pytest.raises(RegistryRefusal), recorder(outboxes, orders).order("training.started", "training", None):
            raise RegistryRefusal(409, "training_under_way", "one at a time")
        assert orders.orders == {}
        assert outboxes.entries() == []

    @pytest.mark.parametrize("error", [AWAY, ModelTimeout("too late"), RuntimeError("a bug")], ids=repr)
    def test_what_may_have_happened_leaves_the_order(self, error: Exception) -> None:
        outboxes = InMemoryOutboxes()
        orders = InMemoryOrders(outboxes)
        with pytest.raises(type(error)), recorder(outboxes, orders).order("training.started", "training", None):
            raise error
        assert len(orders.orders) == 1
        assert outboxes.entries() == []

    def test_the_origin_can_be_kept_for_later(self) -> None:
        callers = [Principal("api_key", name, name, frozenset()) for name in ("first", "second")]
        outboxes = InMemoryOutboxes()
        later = Recorder(outboxes, InMemoryOrders(), lambda: Origin(callers.pop(0))).for_later()
        for _ in range(2):
            later.note("import.completed", "import", "i1")
        assert [entry["actor"]["id"] for entry in outboxes.entries()] == ["first", "first"]

    @pytest.mark.parametrize(
        ("name", "signature"),
        [("CRM", "CRM"), ("a\nb", "a b"), ("\u2028", "id-1"), ("", "id-1"), ("x" * 300, "x" * 200)],
    )
    def test_an_order_is_signed_with_what_the_model_service_takes(self, name: str, signature: str) -> None:
        caller = Principal("token", "id-1", name, frozenset())
        signing = Recorder(InMemoryOutboxes(), InMemoryOrders(), lambda: Origin(caller))
        assert signing.signed({"reason": "r"}) == {"by": signature, "reason": "r"}
        assert signing.signed({"by": "Eva"}) == {"by": "Eva"}

    @pytest.mark.parametrize(("order", "by"), [({}, None), ({"by": 5}, None), ({"by": "Eva"}, "Eva")])
    def test_whom_an_order_names(self, order: dict[str, Any], by: str | None) -> None:
        assert named(order) == by


class TestModels:
    def test_activation_and_rollback(self, gateway: FakeGateway) -> None:
        gateway.client.post(f"{MODELS}/{NEW}/activate", json={"reason": "better"})
        assert _told(gateway.logged()[0]) == ("model.activated", "model", NEW, OLD, NEW)
        gateway.client.post(f"{MODELS}/rollback", json={})
        assert _told(gateway.logged()[0]) == ("model.rolled_back", "model", OLD, NEW, OLD)
        rolled_back, activated = gateway.logged()
        assert (activated.get("data"), rolled_back.get("data")) == (
            {"reason": "better", "forced": False},
            {"reason": "", "forced": False},
        )
        assert gateway.orders.orders == {}

    def test_by_is_the_callers_name_unless_somebody_is_named(self, gateway: FakeGateway) -> None:
        plain = gateway.client.post(f"{MODELS}/{NEW}/activate", json={}).json
        assert plain["by"] == gateway.logged()[0]["actor"]["name"]
        assert gateway.logged()[0]["by"] is None
        other = gateway.client.post(f"{MODELS}/rollback", json={"by": "Eva"}).json
        assert other["by"] == "Eva"
        assert gateway.logged()[0]["by"] == "Eva"

    def test_activating_the_active_version_leaves_no_entry(self, gateway: FakeGateway) -> None:
        assert gateway.client.post(f"{MODELS}/active/activate", json={}).json["version"] == OLD
        assert gateway.logged() == []
        assert gateway.orders.orders == {}

    def test_the_reason_for_activating_the_active_version_is_kept(self, gateway: FakeGateway) -> None:
        gateway.client.post(f"{MODELS}/active/activate", json={"reason": "approved by the board"})
        (entry,) = gateway.logged()
        assert _told(entry) == ("model.activated", "model", OLD, OLD, OLD)
        assert entry.get("data") == {**ALREADY_ACTIVE, "reason": "approved by the board"}
        assert gateway.orders.orders == {}

    def test_a_rollback_leaves_an_entry_whatever_was_active_before(self, gateway: FakeGateway) -> None:
        """Somebody may activate another version between the question which one is active and the rollback."""
        gateway.client.post(f"{MODELS}/{NEW}/activate", json={})
        for before in (NEW, OLD):
            gateway.client.post(f"{MODELS}/rollback", json={})
            assert _told(gateway.logged()[0]) == ("model.rolled_back", "model", OLD, before, OLD)
        assert len(gateway.logged()) == 3

    def test_a_refusal_leaves_no_entry(self, gateway: FakeGateway) -> None:
        refused = [
            gateway.client.post(f"{MODELS}/rollback", json={}),
            gateway.client.patch(f"{SEGMENTS}/seg-99", json={"name": "N"}),
        ]
        assert all(answer.status_code < 500 for answer in refused)
        assert gateway.logged() == []

    def test_the_versions_before_and_after_are_those_that_the_model_store_says(self, gateway: FakeGateway) -> None:
        """Whatever happens between a question which one is active and the activation."""
        roll_back = gateway.registry.roll_back

        def after_another(*order: Any) -> Any:
            gateway.registry.activate(NEW, {"by": "other"})
            return roll_back(*order)

        gateway.registry.roll_back = after_another  # type: ignore[method-assign]  # as another caller may come between
        gateway.client.post(f"{MODELS}/rollback", json={})
        assert _told(gateway.logged()[0]) == ("model.rolled_back", "model", OLD, NEW, OLD)

    def test_an_activation_that_somebody_else_made_meanwhile_has_one_entry(self, gateway: FakeGateway) -> None:
        activate = gateway.registry.activate

        def twice(version: str, *order: Any) -> Any:
            activate(version, {"by": "other"})
            return activate(version, *order)

        gateway.registry.activate = twice  # type: ignore[method-assign]  # as two callers may
        assert gateway.client.post(f"{MODELS}/{NEW}/activate", json={}).json["by"] == "other"
        assert gateway.logged() == []
        assert history(gateway).run_once() == 1
        assert _told(gateway.logged()[0]) == ("model.activated", "model", NEW, OLD, NEW)

    @pytest.mark.parametrize("happens", [False, True])
    def test_no_answer_leaves_the_order_until_the_worker_knows(self, gateway: FakeGateway, happens: bool) -> None:
        activate = gateway.registry.activate
        gateway.registry.activate = _too_late(activate if happens else None)  # type: ignore[method-assign]
        assert_problem(gateway.client.post(f"{MODELS}/{NEW}/activate", json={}), 504, "model_timeout")
        (order,) = gateway.orders.orders.values()
        worker = history(gateway)
        assert [worker.run_once() for _ in range(2)] == [happens, 0]
        if happens:
            (entry,) = gateway.logged()
            assert _told(entry) == ("model.activated", "model", NEW, OLD, NEW)
            for member in ("actor", "by", "request_id", "address"):
                assert entry[member] == order[member]  # type: ignore[literal-required]
        else:
            assert list(gateway.orders.orders.values()) == [order]
            gateway.orders.orders[order["id"]]["at"] -= LATE
            assert history(gateway).run_once() == 0
            assert gateway.logged() == [], "it will not happen any more"
        assert gateway.orders.orders == {}

    def test_what_happens_in_the_model_store_by_itself_is_told_once(self, gateway: FakeGateway) -> None:
        gateway.registry.activate(NEW, {"by": "ops", "reason": "urgent"})
        gateway.registry.roll_back({"by": "ops"})
        gateway.client.post(f"{MODELS}/{NEW}/activate", json={})
        assert len(gateway.outboxes.entries()) == 3
        for worker in (history(gateway), history(gateway)):
            worker.run_once()
        assert [_told(entry) for entry in reversed(gateway.logged())] == [
            ("model.activated", "model", NEW, OLD, NEW),
            ("model.rolled_back", "model", OLD, NEW, OLD),
            ("model.activated", "model", NEW, OLD, NEW),
        ]
        first = gateway.logged()[-1]
        assert (first["actor"], first["by"]) == ({"kind": "system", "id": "model-store", "name": "ops"}, "ops")
        assert first.get("data") == {"reason": "urgent", "forced": False}

    def test_another_process_that_tells_the_same_leaves_it_told_once(self, gateway: FakeGateway) -> None:
        gateway.registry.activate(NEW, {"by": "ops"})
        of, other = gateway.orders.of, history(gateway)

        def meanwhile(types: Any) -> Any:
            gateway.orders.of = of
            gateway.registry.roll_back({"by": "ops"})
            assert other.record() == 2
            return of(types)

        gateway.orders.of = meanwhile
        assert history(gateway).record() == 0
        assert len(gateway.logged()) == 2

    def test_a_model_store_that_begins_anew_is_told_of(self, gateway: FakeGateway) -> None:
        gateway.registry.activate(NEW, {"by": "ops"})
        assert history(gateway).record() == 1
        gateway.registry.history.clear()
        gateway.registry.activate(OLD, {"by": "ops"}, "f" * 32)
        assert history(gateway).record() == 1
        assert [_told(entry)[4] for entry in gateway.logged()] == [OLD, NEW]

    def test_what_is_older_than_ids_is_not_told(self, gateway: FakeGateway) -> None:
        gateway.registry.history.append(FIRST)
        assert history(gateway).run_once() == 0
        gateway.registry.activate(NEW, {})
        assert history(gateway).run_once() == 1

    def test_the_worker_looks_every_few_seconds(self, gateway: FakeGateway) -> None:
        clock = [0.0]
        worker = history(gateway, clock=lambda: clock[0])
        gateway.registry.activate(NEW, {})
        assert worker.run_once() == 1
        gateway.registry.roll_back({})
        assert worker.run_once() == 0, "too early"
        clock[0] += LOOK_SECONDS
        assert worker.run_once() == 1

    def test_while_the_database_is_away_the_worker_tells_later(self, gateway: FakeGateway) -> None:
        place = gateway.orders.place

        def goes(order: Entry) -> None:
            place(order)
            gateway.outboxes.failure = AWAY

        gateway.orders.place = goes
        assert gateway.client.post(f"{MODELS}/{NEW}/activate", json={}).status_code == 200
        gateway.outboxes.failure = None
        assert history(gateway).run_once() == 1
        (entry,) = gateway.logged()
        assert entry["actor"]["kind"] == "api_key"

    def test_of_what_nobody_knows_the_outcome_is_told_so(self, gateway: FakeGateway) -> None:
        gateway.registry.cancel = _too_late(None)  # type: ignore[method-assign]
        assert gateway.client.post(f"{TRAININGS}/t1/cancel").status_code == 504
        assert history(gateway).run_once() == 0
        (order,) = gateway.orders.orders.values()
        order["at"] -= LATE
        assert history(gateway).run_once() == 1
        (entry,) = gateway.logged()
        assert (_told(entry)[:3], entry.get("data")) == (("training.cancelled", "training", "t1"), UNKNOWN)

    def test_labels_and_trainings(self, gateway: FakeGateway) -> None:
        gateway.client.patch(f"{SEGMENTS}/seg-01", json={"name": "Savers"})
        assert _told(gateway.logged()[0]) == ("segment.relabelled", "segment", "seg-01", None, None)
        assert gateway.logged()[0]["fields"] == ["name"]
        training = gateway.client.post(MODELS).json
        assert _told(gateway.logged()[0]) == ("training.started", "training", training["id"], None, None)
        gateway.client.post(f"{TRAININGS}/{training['id']}/cancel")
        assert _told(gateway.logged()[0]) == ("training.cancelled", "training", training["id"], None, None)


def history(gateway: FakeGateway, **options: Any) -> ModelHistory:
    """Return what a worker tells the log of the model store's history by."""
    stores = gateway.stores
    return ModelHistory(gateway.registry, stores.outboxes, stores.orders, stores.transactions, **options)


def _too_late(happens: Callable[..., object] | None) -> Any:
    """Return an order whose answer does not come, though what it orders may happen."""

    def order(*arguments: object) -> Any:
        if happens:
            happens(*arguments)
        raise ModelTimeout("too late")

    return order


def test_the_life_of_an_api_key(gateway: FakeGateway) -> None:
    made = gateway.client.post("/api/v1/api-keys", json={"name": "CRM", "scopes": ["admin"]}).json
    assert _told(gateway.logged()[0]) == ("api_key.created", "api_key", made["id"], None, None)
    gateway.client.post(f"/api/v1/api-keys/{made['id']}/rotate", json={})
    assert _told(gateway.logged()[0]) == ("api_key.rotated", "api_key", made["id"], None, None)
    gateway.client.delete(f"/api/v1/api-keys/{made['id']}")
    assert _told(gateway.logged()[0]) == ("api_key.revoked", "api_key", made["id"], None, None)
    known = len(gateway.logged())
    gateway.client.post("/api/v1/api-keys/nobody/rotate", json={})
    gateway.client.delete("/api/v1/api-keys/nobody")
    assert len(gateway.logged()) == known
