"""What every `PastSegments` does: run over the fake and a real mongod.

A subclass has the fixtures `past`, `outboxes` and `put`; the last stores documents of customers and of deleted ones as
they are.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest

from gateway.services.events.as_of import Past, PastAssignment, PastSegments
from gateway.services.events.change import Entry, nameless
from gateway.services.events.log import Outboxes

Document = dict[str, Any]
Put = Callable[[list[Document], list[Document]], None]
"""``put(customers, deleted_customers)``, by CUST_ID."""

BEGAN = datetime(2124, 5, 1, 12)  # in UTC; far enough ahead that nothing expires meanwhile
SEGMENTS = ("seg-01", "seg-02", "seg-03")
STEPS = 14
"""Moments at which something happens to a customer."""


def at(step: float) -> datetime:
    """Return the time of a step."""
    return BEGAN + timedelta(seconds=step)


class State(NamedTuple):
    """Where a customer was; `known` where it has not been scored anew since."""

    segment: str | None
    since: datetime | None
    assigned_at: datetime | None


class Life:
    """What happens to the holder of a CUST_ID, at random, and how it is written down.

    Attributes
    ----------
    states : where the customer was after each step, None where there was none.
    """

    def __init__(self, cust_id: str, chance: Random, told_of_age: bool = True) -> None:
        self.cust_id = cust_id
        self.states: list[State | None] = []
        self.stored: Document | None = None
        self.copy: Document | None = None
        self.entries: list[Entry] = []
        self.erased = False
        self._chance = chance
        self._told_of_age = told_of_age
        for step in range(STEPS):
            self._happen(step)
            segment = self.stored and self.stored["segment"]
            state = State(segment["id"], segment["since"], segment["assigned_at"]) if segment else State(*[None] * 3)
            self.states.append(state if self.stored else None)

    def _happen(self, step: int) -> None:
        happens = [self._move, self._move, self._pend, self._rescore, self._nothing, self._delete, self._nothing]
        begins = [self._create, self._import, self._restore if self.copy else self._nothing, self._nothing]
        self._chance.choice(happens if self.stored else begins)(step)

    def _nothing(self, step: int) -> None:
        pass

    def _segment(self, step: int) -> Document:
        chosen = {"id": self._chance.choice(SEGMENTS), "since": at(step), "assigned_at": at(step)}
        return chosen | {"confidence": 0.5, "rival": None, "model_version": f"v{step}"}

    def _create(self, step: int) -> None:
        self._import(step)
        assert self.stored
        self._tell("customer.created", step, None, self.stored["segment"])

    def _import(self, step: int) -> None:
        segment = self._segment(step) if self._chance.random() < 0.7 else None
        self.stored = {"CUST_ID": self.cust_id, "created_at": at(step), "segment": segment}

    def _move(self, step: int) -> None:
        assert self.stored
        old, new = self.stored["segment"], self._segment(step)
        if old and old["id"] == new["id"]:
            self._rescore(step)
        else:
            self.stored["segment"] = new
            self._tell("customer.updated", step, old, new)

    def _pend(self, step: int) -> None:
        assert self.stored
        old, self.stored["segment"] = self.stored["segment"], None
        self._tell("customer.updated", step, old, None)

    def _rescore(self, step: int) -> None:
        assert self.stored
        if self.stored["segment"]:
            self.stored["segment"] = {**self.stored["segment"], "assigned_at": at(step), "model_version": f"v{step}"}

    def _delete(self, step: int) -> None:
        assert self.stored
        self._tell("customer.deleted", step, self.stored["segment"], None)
        self.stored, self.copy = None, {**self.stored, "deleted_at": at(step)}

    def _restore(self, step: int) -> None:
        assert self.copy
        segment = self.copy["segment"] and {**self.copy["segment"], "since": at(step)}
        self.stored, self.copy = {**self.copy, "segment": segment}, None
        del self.stored["deleted_at"]
        self._tell("customer.restored", step, None, segment)

    def erase(self, step: int) -> None:
        """Erase the customer, stored or not."""
        told = [nameless(entry) for entry in self.entries]
        if self.stored:
            self._tell("customer.erased", step, self.stored["segment"], None)
            told.append({**self.entries[-1], "subject": {"type": "erasure", "id": f"of {self.cust_id}"}})
        self.stored = self.copy = None
        self.entries, self.erased = told, True

    def _tell(self, kind: str, step: int, old: Document | None, new: Document | None) -> None:
        document = self.stored
        assert document
        entry: Any = {"type": kind, "at": at(step), "created_at": document["created_at"], "actor": {"id": "k"}}
        entry["seq"] = len(self.entries) + 1
        entry["subject"] = {"type": "customer", "id": self.cust_id}
        if (old and old["id"]) != (new and new["id"]):
            entry["segment"] = {
                "from": old and old["id"],
                "from_since": old and old["since"],
                "to": new and new["id"],
                "confidence": 0.5,
                "rival": None,
                "model_version": "v",
            }
        self.entries.append(entry)


class AsOfContract:
    """Subclass it in a test module."""

    @pytest.fixture
    def lives(self, put: Put, outboxes: Outboxes) -> list[Life]:
        """Customers of whom all is written down, partly in the log, and partly still waiting."""
        chance = Random(11)
        lives = [Life(f"C{number:02}", chance) for number in range(30)]
        for life in lives[::7]:
            life.erase(STEPS)
        for life in lives:
            if holder := life.stored or life.copy:
                waiting = chance.randrange(3)
                holder["outbox"] = life.entries[len(life.entries) - waiting :]
                life.entries = life.entries[: len(life.entries) - waiting]
        logged = sorted((entry for life in lives for entry in life.entries), key=lambda entry: entry["at"])
        outboxes.add(logged[:-5])
        outboxes.move(1_000)
        outboxes.add(logged[-5:])  # also what waits without a customer
        put([life.stored for life in lives if life.stored], [life.copy for life in lives if life.copy])
        return lives

    def test_a_customer_was_where_it_was(self, past: PastSegments, lives: list[Life]) -> None:
        for life in lives:
            for step, state in enumerate(life.states):
                for moment in (at(step), at(step + 0.5)):
                    found = past.of_customer(life.cust_id, moment)
                    known = None if life.erased else state
                    assert (found and (found.segment, found.since)) == (known and known[:2]), (life.cust_id, moment)
                    if found and known and found.assignment:
                        assert found.assignment.assigned_at == known.assigned_at

    def test_what_has_not_been_scored_anew_is_known_in_full(self, past: PastSegments, lives: list[Life]) -> None:
        known = 0
        for life in lives:
            if life.stored and (segment := life.stored["segment"]):
                found = past.of_customer(life.cust_id, at(STEPS))
                said = segment["confidence"], segment["rival"], segment["model_version"], segment["assigned_at"]
                assert found == Past(segment["id"], segment["since"], PastAssignment(*said))
                if segment["since"] < segment["assigned_at"]:
                    before = past.of_customer(life.cust_id, segment["assigned_at"] - timedelta(milliseconds=1))
                    assert before == Past(segment["id"], segment["since"])
                    known += 1
        assert known, "some were scored anew"

    def test_a_segment_had_the_members_that_it_had(self, past: PastSegments, lives: list[Life]) -> None:
        for step in range(STEPS):
            for segment in SEGMENTS:
                expected = [
                    life.cust_id
                    for life in lives
                    if not life.erased and (state := life.states[step]) and state.segment == segment
                ]
                found: list[str] = []
                while page := past.members(segment, at(step), found[-1] if found else None, 3):
                    assert len(page) <= 3
                    found += page
                assert found == expected, (segment, step)

    def test_the_sizes_are_those_of_then_with_those_who_were_erased(
        self, past: PastSegments, lives: list[Life]
    ) -> None:
        for step in range(STEPS):
            segments = [state.segment for life in lives if (state := life.states[step])]
            expected = {segment: segments.count(segment) for segment in SEGMENTS if segment in segments}
            assert dict(past.sizes(at(step))) == expected, step

    def test_who_does_not_say_since_when_has_been_there_since_before_the_log(
        self, past: PastSegments, put: Put
    ) -> None:
        segment = {"id": "seg-01", "confidence": 0.5, "rival": "seg-02", "model_version": "v", "assigned_at": at(-9)}
        put([{"CUST_ID": "old", "created_at": at(-9), "segment": segment}], [])
        assert past.members("seg-01", at(0), None, 5) == ["old"]
        assert dict(past.sizes(at(0))) == {"seg-01": 1}
        assert past.of_customer("old", at(0)) == Past("seg-01", None, PastAssignment(0.5, "seg-02", "v", at(-9)))

    def test_of_whom_the_log_has_forgotten_the_deletion_nothing_is_made_up(
        self, past: PastSegments, put: Put, outboxes: Outboxes
    ) -> None:
        """A was deleted and can still be restored; B has been."""
        put([], [{"CUST_ID": "A", "created_at": at(-9), "deleted_at": at(-1), "segment": None}])
        restored: Any = {"type": "customer.restored", "at": at(2), "created_at": at(-9), "seq": 3, "actor": {"id": "k"}}
        outboxes.add([{**restored, "subject": {"type": "customer", "id": "B"}}])
        outboxes.move(1)
        for cust_id in ("A", "B"):
            assert past.of_customer(cust_id, at(1)) is None
        assert past.of_customer("B", at(3)) == Past(None)

    def test_of_nobody_there_is_nothing(self, past: PastSegments) -> None:
        assert past.of_customer("nobody", at(0)) is None
        assert past.members("seg-01", at(0), None, 5) == []
        assert dict(past.sizes(at(0))) == {}
