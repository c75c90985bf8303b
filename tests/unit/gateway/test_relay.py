"""The relay: what waits comes into the log, what is old leaves it, and the worker's other duties do not hold it up."""

from __future__ import annotations

import threading
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


class Counting:
    """A duty that fails from its third turn on."""

    def __init__(self) -> None:
        self.turns = 0
        self.failed = threading.Event()

    def run_once(self, heartbeat: object) -> int:
        self.turns += 1
        if self.turns >= 3:
            self.failed.set()
            raise StoreUnavailable("away")
        return 0


def test_a_duty_beside_is_done_again_and_again_until_it_fails_and_then_anew() -> None:
    duty = Counting()
    beside = Beside(duty, "relay", every=0.0)
    assert beside.run_once(lambda: None) == 0
    assert duty.failed.wait(10)
    with pytest.raises(StoreUnavailable):
        [beside.run_once(lambda: None) for _ in iter(int, 1)]  # until the thread has ended
    assert duty.turns >= 3
