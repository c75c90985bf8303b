"""What every `AuditTrail` does; give a subclass the fixture `trail`, empty."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.services.audit import AuditEntry, AuditFilters, AuditTrail, Change, Origin, entries_of
from gateway.services.principal import COMMAND_LINE, Principal

ALL = AuditFilters()
CLERK = Principal("api_key", "k1", "Clerk", frozenset())


def entries(*subjects: str, by: Principal = COMMAND_LINE, **changes: Any) -> list[AuditEntry]:
    """Return new entries about the creation of customers."""
    made = [Change("customer.created", "customer", subject, None, "r1") for subject in subjects]
    return [{**entry, **changes} for entry in entries_of(made, Origin(by, "req", "127.0.0.1"))]  # type: ignore[typeddict-item]


def subjects(found: list[AuditEntry]) -> list[str | None]:
    """Return the ids of what the entries are about."""
    return [entry["subject"]["id"] for entry in found]


class AuditTrailContract:
    @pytest.mark.parametrize("durably", [False, True])
    @pytest.mark.parametrize("names", [[], ["A"], ["A", "B", "C"]], ids=len)
    def test_page_returns_what_was_recorded_newest_first(
        self, trail: AuditTrail, names: list[str], durably: bool
    ) -> None:
        made = entries(*names)
        trail.record(made, durably=durably)
        assert trail.page(ALL, None, 10) == made[::-1]

    def test_record_durably_writes_over_what_is_there(self, trail: AuditTrail) -> None:
        (made,) = entries("A")
        trail.record([made], durably=False)
        changed = {**made, "after": "r2"}
        trail.record([changed], durably=True)  # type: ignore[list-item]  # a copy is one too
        assert trail.page(ALL, None, 10) == [changed]

    def test_add_leaves_what_is_there(self, trail: AuditTrail) -> None:
        made = entries("A", "B")
        trail.record(made[:1], durably=True)
        assert trail.add([{**made[0], "after": "r2"}, made[1]]) == 1  # type: ignore[list-item]  # a copy is one too
        assert trail.page(ALL, None, 10) == made[::-1]
        assert trail.add(made) == trail.add([]) == 0

    def test_orders_are_those_of_which_nobody_knows_what_came(self, trail: AuditTrail) -> None:
        (order,) = entries("v1", action="model.activated", after=None)
        trail.record([order, *entries("v2", action="model.activated"), *entries("A", after=None)], durably=True)
        assert trail.orders(["model.activated", "model.rolled_back"]) == [order]

    def test_withdraw_takes_entries_back(self, trail: AuditTrail) -> None:
        made = entries("A", "B", "C")
        trail.record(made, durably=False)
        trail.withdraw([made[0]["id"], made[2]["id"], "never there"])
        assert subjects(trail.page(ALL, None, 10)) == ["B"]
        trail.withdraw([])
        assert subjects(trail.page(ALL, None, 10)) == ["B"]

    def test_page_goes_on_before_an_entry_and_stops_at_the_limit(self, trail: AuditTrail) -> None:
        for name in "ABCD":
            trail.record(entries(name), durably=False)
        first = trail.page(ALL, None, 2)
        assert subjects(first) == ["D", "C"]
        assert subjects(trail.page(ALL, first[-1]["id"], 2)) == ["B", "A"]
        assert trail.page(ALL, first[-1]["id"][:-1], 0 + 10)[-1]["subject"]["id"] == "A"

    def test_page_filters(self, trail: AuditTrail) -> None:
        trail.record(entries("A"), durably=False)
        trail.record(entries("A", by=CLERK), durably=False)
        trail.record(entries("B", by=CLERK, action="customer.deleted"), durably=False)
        assert len(trail.page(AuditFilters(subject="A"), None, 10)) == 2
        assert len(trail.page(AuditFilters(actor="k1"), None, 10)) == 2
        assert len(trail.page(AuditFilters(subject="A", actor="k1"), None, 10)) == 1
        assert subjects(trail.page(AuditFilters(action="customer.deleted"), None, 10)) == ["B"]
        assert trail.page(AuditFilters(subject="nobody"), None, 10) == []

    def test_page_between_times(self, trail: AuditTrail) -> None:
        (made,) = entries("A")
        trail.record([made], durably=False)
        at, later = made["at"], made["at"] + timedelta(milliseconds=1)
        assert trail.page(AuditFilters(since=at, until=later), None, 10) == [made]
        assert trail.page(AuditFilters(since=later), None, 10) == []
        assert trail.page(AuditFilters(until=at), None, 10) == []
        assert trail.page(AuditFilters(since=datetime(1, 1, 1), until=datetime(9999, 12, 31)), None, 10) == [made]

    def test_page_before_an_entry_and_a_time(self, trail: AuditTrail) -> None:
        made = entries("A", "B")
        trail.record(made, durably=False)
        assert subjects(trail.page(AuditFilters(until=datetime(9999, 1, 1)), made[1]["id"], 10)) == ["A"]
        assert trail.page(AuditFilters(until=made[0]["at"]), made[1]["id"], 10) == []

    def test_erase_removes_the_id_and_nothing_else(self, trail: AuditTrail) -> None:
        mine, other = entries("A", "B")
        key = {**entries("A")[0], "subject": {"type": "api_key", "id": "A"}}
        trail.record([mine, other, key], durably=False)  # type: ignore[list-item]  # a copy is one too
        assert trail.erase("A") == 1
        assert trail.page(ALL, None, 10) == [
            key,
            other,
            {**mine, "subject": {"type": "customer", "id": None}, "erased": True},
        ]
        assert trail.erase("A") == 0
