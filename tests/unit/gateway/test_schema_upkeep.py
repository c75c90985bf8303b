"""The worker sees to it that the database has its schema, beside its other duties; health says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest
from contracts.schema import SchemaContract
from fakes.gateway import FakeGateway
from fakes.schema import NEEDED, PUT_OFF, InMemorySchema

from gateway import worker
from gateway.services.errors import StoreUnavailable
from gateway.services.schema import SchemaUpkeep
from gateway.services.service import SCHEMA_SECONDS, HealthService


class TestInMemorySchema(SchemaContract):
    @pytest.fixture
    def schema(self) -> InMemorySchema:
        return InMemorySchema(NEEDED, PUT_OFF)


def test_what_is_missing_is_made_and_shows_that_the_worker_lives() -> None:
    schema, alive = InMemorySchema(NEEDED, PUT_OFF), list[None]()
    duty = SchemaUpkeep(schema, lambda: False)
    assert duty.run_once(lambda: alive.append(None)) == 2
    assert alive
    assert duty.run_once() == 0


def test_what_lists_need_is_not_made_under_a_first_load() -> None:
    schema, loading = InMemorySchema(NEEDED, PUT_OFF), [True]
    duty = SchemaUpkeep(schema, lambda: loading[0])
    assert duty.run_once() == 1
    assert schema.missing() == [PUT_OFF]
    loading[0] = False
    assert duty.run_once() == 1


def test_a_store_that_is_away_is_tried_again() -> None:
    schema = InMemorySchema(NEEDED)
    schema.failure = StoreUnavailable("away")
    assert worker.attempt([SchemaUpkeep(schema, lambda: False)], lambda: None) is schema.failure


def test_the_gateway_brings_the_duty_along() -> None:
    gateway = FakeGateway(schema=InMemorySchema(NEEDED))
    assert gateway.services.schema_upkeep.run_once() == 1


class Slow:
    """A duty that ends when it is told to, with an error if there is one."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.ended = Event(), Event(), Event()
        self.error: Exception | None = None
        self.runs = 0

    def run_once(self, heartbeat: Callable[[], None]) -> int:
        self.runs += 1
        self.begun.set()
        self.may_end.wait()
        self.ended.set()
        if self.error:
            raise self.error
        return 1


@pytest.fixture
def slow() -> Slow:
    return Slow()


def _again(duty: worker.Beside, slow: Slow) -> None:
    """Look until the duty has begun once more."""
    before = slow.runs
    while slow.runs == before:
        duty.run_once(lambda: None)


def test_a_duty_that_takes_long_goes_on_beside_the_others(slow: Slow) -> None:
    duty = worker.Beside(slow, "slow")
    for _ in range(3):
        assert duty.run_once(lambda: None) == 0
    assert slow.begun.wait(10)
    assert slow.runs == 1
    slow.may_end.set()
    _again(duty, slow)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ZeroDivisionError()], ids=repr)
def test_what_stops_such_a_duty_is_told_at_the_next_look(slow: Slow, error: Exception) -> None:
    duty = worker.Beside(slow, "slow")
    slow.error = error
    duty.run_once(lambda: None)
    slow.may_end.set()
    with pytest.raises(type(error)):
        _again(duty, slow)


class TestHealth:
    def test_it_names_what_is_missing_and_is_ready_all_the_same(self) -> None:
        gateway = FakeGateway(schema=InMemorySchema(PUT_OFF))
        answer = gateway.client.get("/health/ready")
        assert (answer.status_code, answer.json["schema_missing"]) == (200, [PUT_OFF])

    def test_it_does_not_ask_again_at_once(self) -> None:
        gateway, now = FakeGateway(schema=InMemorySchema(PUT_OFF)), [0.0]
        health = HealthService(gateway.store, gateway.model, gateway.schema, lambda: now[0])
        assert health.check()["schema_missing"] == [PUT_OFF]
        gateway.schema.bring_up_to_date()
        assert health.check()["schema_missing"] == [PUT_OFF]
        now[0] += SCHEMA_SECONDS
        assert health.check()["schema_missing"] == []
