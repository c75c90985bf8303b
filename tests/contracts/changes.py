"""What every `Outboxes`, `Orders` and `ChangeLog` does together: run over the fakes and a real mongod.

Give a subclass the fixtures `log`, `outboxes` and `orders`, empty, and `put`, which stores a customer, or a deleted
one, with an outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.services.clock import now
from gateway.services.events.change import ERASED_ID_KEPT, UNKNOWN, Entry, Logged, SegmentChange
from gateway.services.events.log import AuditFilters, ChangeLog, Orders, Outboxes

Put = Callable[..., None]
"""``put(cust_id, entries, deleted=False)``."""

ALL = AuditFilters()
CREATED_AT = datetime(2124, 5, 1, 12)  # in UTC; far enough ahead that nothing expires meanwhile
CLERK = {"kind": "api_key", "id": "k1", "name": "Clerk"}


def at(seconds: float) -> datetime:
    """Return a time some seconds after the customers were created."""
    return CREATED_AT + timedelta(seconds=seconds)


def entry(seconds: float = 0, **members: Any) -> Entry:
    """Return an entry; of a customer, unless it has a subject."""
    return {
        "at": at(seconds),
        "type": "customer.updated",
        "cause": "customer_data",
        "actor": CLERK,
        "by": None,
        "request_id": "req",
        "address": "127.0.0.1",
        "before": "r1",
        "after": "r2",
        **members,
    }  # type: ignore[typeddict-item]


def about(type_: str, subject: str | None, seconds: float = 0, **members: Any) -> Entry:
    """Return an entry that is not in a customer's own outbox."""
    return entry(seconds, subject={"type": type_, "id": subject}, **members)


def move(source: str | None, target: str | None) -> SegmentChange:
    """Return the segment part of a change."""
    rest = dict.fromkeys(("from_since", "confidence", "rival", "model_version"))
    return {"from": source, "to": target, **rest}  # type: ignore[typeddict-item]


def numbers(found: Sequence[Logged]) -> list[int]:
    """Return the entries' `seq`, which tests number them by."""
    return [each.get("seq", 0) for each in found]


class ChangesContract:
    def test_entries_are_logged_with_their_subject_in_the_order_in_which_they_wait(
        self, outboxes: Outboxes, log: ChangeLog, put: Put
    ) -> None:
        put("A", [entry(1, seq=1), entry(2, seq=2, segment=move(None, "seg-01"))])
        assert log.head() == 0
        assert outboxes.move(10) == 2
        subject = {"subject": {"type": "customer", "id": "A"}, "created_at": CREATED_AT}
        assert log.after(0, None, 10) == [
            {**entry(1, seq=1), **subject, "position": 1},
            {**entry(2, seq=2, segment=move(None, "seg-01")), **subject, "position": 2},
        ]
        assert log.head() == 2
        assert outboxes.move(10) == 0

    def test_what_was_deleted_comes_before_what_has_its_id_now(
        self, outboxes: Outboxes, log: ChangeLog, put: Put
    ) -> None:
        """Whatever the clocks of those say who wrote it."""
        put("A", [entry(1, seq=3)])
        put("A", [entry(2, seq=1), entry(2, seq=2)], deleted=True)
        assert outboxes.move_of("A") == 3
        assert numbers(log.after(0, None, 10)) == [1, 2, 3]
        assert outboxes.move_of("A") == outboxes.move_of("nobody") == 0

    def test_of_one_customer_the_erasure_of_an_earlier_one_comes_first(
        self, outboxes: Outboxes, log: ChangeLog, put: Put
    ) -> None:
        outboxes.add([about("erasure", "e1", 1, seq=1, erased_id="A")])
        put("A", [entry(2, seq=2)])
        assert outboxes.move_of("A")
        assert numbers(log.after(0, None, 10)) == [1, 2]

    def test_what_is_moved_together_is_in_the_order_of_time(self, outboxes: Outboxes, log: ChangeLog, put: Put) -> None:
        put("A", [entry(1, seq=1), entry(4, seq=4)])
        put("B", [entry(2, seq=2)])
        put("C", [entry(3, seq=3)], deleted=True)
        outboxes.add([about("import", "i1", 5, seq=5)])
        outboxes.move(10)
        assert numbers(log.after(0, None, 10)) == [1, 2, 3, 4, 5]

    def test_no_more_outboxes_are_emptied_at_once_than_wanted(
        self, outboxes: Outboxes, log: ChangeLog, put: Put
    ) -> None:
        for number, name in enumerate("ABC"):
            put(name, [entry(number, seq=number + 1)])
        outboxes.add([about("import", "i1", seq=8), about("import", "i2", seq=9)])
        assert outboxes.waiting() == (5, at(0))
        assert [outboxes.move(2), outboxes.move(2), outboxes.move(2)] == [3, 2, 0]
        assert numbers(log.after(0, None, 10)) == [8, 9, 1, 2, 3]
        assert outboxes.waiting() == (0, None)

    def test_what_has_an_id_of_its_own_is_logged_once(self, outboxes: Outboxes, log: ChangeLog) -> None:
        outboxes.add([about("model", "v1", id="e1"), about("model", "v1", id="e1"), about("model", "v2", id="e2")])
        outboxes.move(10)
        outboxes.add([about("model", "v2", id="e2"), about("model", "v3")])
        outboxes.move(10)
        assert [each["subject"]["id"] for each in log.after(0, None, 10)] == ["v1", "v2", "v3"]
        outboxes.add([about("model", "v2", id="e2")])
        outboxes.move(10)
        assert log.head() == 3

    def test_a_page_of_the_newest_goes_on_before_a_position(self, outboxes: Outboxes, log: ChangeLog, put: Put) -> None:
        put("A", [entry(seq=number) for number in range(1, 6)])
        outboxes.move(10)
        first = log.newest_first(ALL, None, 2)
        assert numbers(first) == [5, 4]
        assert numbers(log.newest_first(ALL, first[-1]["position"], 10)) == [3, 2, 1]

    def test_the_audit_trail_is_filtered(self, outboxes: Outboxes, log: ChangeLog, put: Put) -> None:
        put("A", [entry(1, seq=1), entry(2, seq=2, type="customer.rescored", actor={**CLERK, "id": "k2"})])
        outboxes.add([about("api_key", "A", 3, seq=3, type="api_key.created")])
        outboxes.move(10)

        def found(**filters: Any) -> list[int]:
            return sorted(numbers(log.newest_first(AuditFilters(**filters), None, 10)))

        assert found(subject="A") == [1, 2, 3]
        assert found(actor="k2") == [2]
        assert found(action="customer.updated") == [1]
        assert found(since=at(2)) == [2, 3]
        assert found(until=at(2)) == [1]
        assert found(since=at(1), until=at(3), actor="k1", subject="A") == [1]
        assert found(subject="nobody") == []
        put(
            "B",
            [entry(4, seq=4, cause="model_activated"), entry(5, seq=5, cause="import"), entry(6, seq=6, cause=None)],
        )
        outboxes.add([about("import", "I1", 7, seq=7, type="import.completed", cause="import")])
        outboxes.move(10)
        assert found(followers=False, since=at(3)) == [3, 6, 7]
        assert found(followers=True, since=at(3)) == [3, 4, 5, 6, 7]

    def test_entries_of_a_type_are_counted_from_a_time_on_up_to_a_number(
        self, outboxes: Outboxes, log: ChangeLog, put: Put
    ) -> None:
        assert log.position_at(at(0)) == 1
        put("A", [entry(number, seq=number) for number in range(1, 6)])
        outboxes.add([about("import", "i1", 4, type="import.completed")])
        outboxes.move(10)
        assert [log.position_at(at(seconds)) for seconds in (0, 3, 5.5)] == [1, 3, 7]
        assert log.count("customer.updated", 1, 10) == 5
        assert log.count("customer.updated", log.position_at(at(3)), 10) == 3
        assert log.count("customer.updated", 1, 2) == 2
        assert (log.count("import.completed", 1, 10), log.count("customer.created", 1, 10)) == (1, 0)

    def test_the_feed_has_types_and_takes_a_segment_part_for_one(
        self, outboxes: Outboxes, log: ChangeLog, put: Put
    ) -> None:
        put("A", [entry(1, seq=1), entry(2, seq=2, segment=move("seg-01", None)), entry(3, seq=3)])
        put("B", [entry(4, seq=4, type="customer.created")])
        outboxes.move(10)
        assert numbers(log.after(0, ["customer.segment_changed"], 10)) == [2]
        assert numbers(log.after(0, ["customer.created", "customer.segment_changed"], 10)) == [2, 4]
        assert numbers(log.after(2, None, 1)) == [3]
        assert numbers(log.after(log.head(), None, 10)) == []

    def test_the_history_of_a_customer_has_former_values(self, outboxes: Outboxes, log: ChangeLog, put: Put) -> None:
        changed = entry(1, seq=1, fields=["BALANCE"], values={"BALANCE": [1.0, 2.0]})
        put("A", [changed, entry(2, seq=2)])
        put("B", [entry(seq=3)])
        outboxes.add([about("import", "A", seq=4)])
        outboxes.move(10)
        second, first = log.of_customer("A", None, 10)
        assert first["values"] == {"BALANCE": [1.0, 2.0]}
        assert "values" not in second
        assert numbers(log.of_customer("A", second["position"], 10)) == [1]
        assert numbers(log.of_customer("A", None, 1)) == [2]
        assert all("values" not in each for each in log.after(0, None, 10))

    def test_changes_of_segments_in_a_time(self, outboxes: Outboxes, log: ChangeLog, put: Put) -> None:
        put("A", [entry(s, seq=s, segment=move("seg-01", "seg-02")) for s in (4, 2, 3)] + [entry(2, seq=5)])
        outboxes.move(10)

        def found(since: float, until: float | None) -> list[int]:
            blocks = log.segment_changes(at(since), None if until is None else at(until))
            return [number for block in blocks for number in numbers(block)]

        assert found(2, 4) == [2, 3]
        assert found(3, None) == [3, 4]
        assert found(5, None) == []

    def test_an_erasure_takes_the_id_and_the_values_and_nothing_else(
        self, outboxes: Outboxes, log: ChangeLog, put: Put
    ) -> None:
        put("A", [entry(1, seq=1, fields=["BALANCE"], values={"BALANCE": [1.0, 2.0]})])
        put("B", [entry(2, seq=2)])
        outboxes.move(10)
        waiting = [about("customer", "A", 3, seq=3, fields=["X"], values={"X": [0, 1]}), about("import", "A", 4, seq=4)]
        outboxes.add(waiting)
        assert outboxes.erase("A") == log.erase("A") == 1
        assert outboxes.erase("A") == log.erase("A") == 0
        outboxes.move(10)
        mine, other, waited, named_so = log.after(0, None, 10)
        assert mine["subject"] == waited["subject"] == {"type": "customer", "id": None}
        assert mine["erased"] is waited["erased"] is True
        assert (mine["fields"], mine["created_at"], waited["seq"]) == (["BALANCE"], CREATED_AT, 3)
        assert [other["subject"]["id"], named_so["subject"]["id"]] == ["B", "A"]
        assert log.of_customer("A", None, 10) == []

    def test_who_was_erased_is_told_for_a_while(self, outboxes: Outboxes, log: ChangeLog) -> None:
        long_ago = now() - ERASED_ID_KEPT - timedelta(seconds=1)
        erasure = about("erasure", "e1", type="customer.erased", erased_id="A", data={"digest": "d"})
        outboxes.add([{**erasure, "at": long_ago}, erasure])
        outboxes.move(10)
        earlier, later = log.after(0, ["customer.erased"], 10)
        assert "erased_id" not in earlier
        assert later == {**erasure, "position": 2}
        assert all("erased_id" not in each for each in log.newest_first(ALL, None, 10))

    @pytest.mark.parametrize(("before", "dropped"), [(0, 0), (2, 1), (2.5, 2), (9, 4)])
    def test_only_the_beginning_of_the_log_is_dropped_and_it_knows_how_far(
        self, outboxes: Outboxes, log: ChangeLog, put: Put, before: float, dropped: int
    ) -> None:
        put("A", [entry(1, seq=1), entry(2, seq=2), entry(4, seq=3), entry(2, seq=4)])
        outboxes.move(10)
        since = log.memory().since
        assert log.forget(at(before)) == dropped
        assert numbers(log.after(0, None, 10)) == [1, 2, 3, 4][dropped:]
        position, later, values_since = log.memory()
        assert position == (dropped + 1 if dropped else 0)
        assert later == (at(before) if dropped else since)
        assert values_since >= later if dropped else values_since <= at(before)
        assert log.head() == 4
        assert log.forget(at(before)) == 0

    def test_an_order_that_was_carried_out_is_an_entry(
        self, outboxes: Outboxes, orders: Orders, log: ChangeLog
    ) -> None:
        order = about("training", None, type="training.started", id="o1")
        orders.place(order)
        assert orders.of(["training.started"]) == [order]
        assert orders.of(["model.activated"]) == []
        assert outboxes.move(10) == 0
        started = {**order, "subject": {"type": "training", "id": "t1"}}
        orders.carried_out(started)  # type: ignore[arg-type]  # a copy is one too
        assert orders.of(["training.started"]) == []
        orders.withdraw(["o1"])
        assert outboxes.move(10) == 1
        assert log.after(0, None, 10) == [{**started, "position": 1}]
        orders.carried_out(order)
        assert outboxes.move(10) == 0, "nobody is waiting for it any more"

    def test_orders_are_withdrawn(self, outboxes: Outboxes, orders: Orders) -> None:
        for name in ("o1", "o2"):
            orders.place(about("training", "t1", type="training.cancelled", id=name))
        orders.withdraw(["o1", "nobody"])
        assert [each["id"] for each in orders.of(["training.cancelled"])] == ["o2"]
        assert outboxes.move(10) == 0

    def test_what_is_given_up_becomes_an_entry_that_says_so(
        self, outboxes: Outboxes, orders: Orders, log: ChangeLog
    ) -> None:
        orders.place(about("segment", "s1", 1, type="segment.relabelled", id="late", data={"x": 1}))
        orders.place(about("segment", "s2", 1, type="segment.relabelled", id="too late"))
        orders.place(about("segment", "s3", 3, type="segment.relabelled", id="young"))
        orders.place(about("model", "v1", 1, type="model.activated", id="other"))
        assert orders.give_up(at(2), ["model.activated"]) == 2
        assert orders.give_up(at(2), ["model.activated"]) == 0
        outboxes.move(10)
        told = {each["id"]: each["data"] for each in log.after(0, None, 10)}
        assert told == {"late": {"x": 1, **UNKNOWN}, "too late": UNKNOWN}
        assert [each["id"] for each in orders.of(["segment.relabelled", "model.activated"])] == ["young", "other"]

    def test_events_are_seen_once(self, orders: Orders) -> None:
        assert orders.last_seen() is None
        assert [orders.see("e1", None), orders.see("e2", None), orders.see("e2", "e1")] == [True, False, True]
        assert orders.last_seen() == "e2"
