"""The relay: what waits comes into the log, what is old leaves it, and the worker's other duties do not hold it up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from contracts.changes import about, numbers
from fakes.changes import InMemoryChangeLog, InMemoryOutboxes

from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.events.relay import AT_ONCE, FORGET_SECONDS, Relay
from gateway.worker import Beside


def test_everything_that_waits_is_moved() -> None:
    log = InMemoryChangeLog()
    outboxes = InMemoryOutboxes(log)
    for number in range(AT_ONCE + 1):
        outboxes.add([about("import", f"i{number}", number, seq=number)])
    relay = Relay(outboxes, log, 365)
    assert [relay.run_once(), relay.run_once()] == [AT_ONCE + 1, 0]
    assert numbers(log.after(0, None, 1_000)) == [*range(AT_ONCE + 1)]


def test_what_is_old_leaves_the_log_within_a_minute() -> None:
    log, clock = InMemoryChangeLog(), [0.0]
    outboxes = InMemoryOutboxes(log)
    relay = Relay(outboxes, log, 30, lambda: clock[0])
    relay.run_once()
    for days in (31, 29):
        outboxes.add([{**about("import", f"{days} days ago"), "at": now() - timedelta(days=days)}])
    relay.run_once()
    assert log.memory().position == 0
    clock[0] += FORGET_SECONDS
    relay.run_once()
    assert [entry["subject"]["id"] for entry in log.after(0, None, 10)] == ["29 days ago"]
    assert log.memory().position == 2


class Failing:
    """A duty that fails at its third turn, as something is away, and from its sixth on for a fault of its own."""

    def __init__(self) -> None:
        self.turns = 0

    def run_once(self, heartbeat: object) -> int:
        self.turns += 1
        if self.turns == 3:
            raise StoreUnavailable("away")
        if self.turns >= 6:
            raise ZeroDivisionError
        return 0


def test_a_duty_beside_goes_on_by_itself_while_something_is_away_and_tells_it() -> None:
    duty = Failing()
    beside = Beside(duty, "relay", every=0.001)

    def look_until_it_fails() -> None:
        while True:
            beside.run_once(lambda: None)

    for failure in (StoreUnavailable, ZeroDivisionError):
        with pytest.raises(failure):
            look_until_it_fails()
    assert duty.turns >= 6
