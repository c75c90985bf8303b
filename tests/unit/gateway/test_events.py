"""The feed of events: what is told, in which order, from where on, and who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from contracts.changes import about, at, move
from fakes.changes import InMemoryChangeLog
from fakes.deletions import InMemoryTransactions
from fakes.gateway import FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.problems import assert_problem

from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.events import feed
from gateway.services.events.change import ALREADY_ACTIVE, Entry
from gateway.services.events.feed import EVENT_TYPES, Event, EventType, FeedService
from gateway.services.events.log_watcher import LogWatcher

EVENTS = "/api/v1/events"
QUIET = ("import.started", "training.started", "api_key.revoked")
"""Types that are no events."""

_moves = st.sampled_from([move("seg-01", "seg-02"), move(None, "seg-01"), move("seg-01", None)])
_changes = st.one_of(
    st.builds(
        lambda type_, moved: about("customer", "A", type=type_, **({"segment": moved} if moved else {})),
        st.sampled_from([t for t in EVENT_TYPES if t.startswith("customer.")] + ["customer.rescored"]),
        st.none() | _moves,
    ),
    st.builds(lambda type_: about("model", "v1", type=type_), st.sampled_from(["model.activated", *QUIET])),
)
logs = st.lists(_changes, max_size=12)


def _log(entries: list[Entry]) -> InMemoryChangeLog:
    log = InMemoryChangeLog()
    log.append(entries)
    return log


def _service(log: InMemoryChangeLog) -> FeedService:
    return FeedService(log, InMemoryTransactions(list), LogWatcher(log.head, 0.001))


def _walk(service: FeedService, number: int, types: tuple[EventType, ...] | None, limit: int) -> Iterator[Event]:
    while True:
        found = service.after(number, types, limit, 0)
        assert len(found.items) <= limit
        yield from found.items
        if not found.more:
            assert found.end == service.now()
            return
        number = found.end


def _gateway(*entries: Entry) -> FakeGateway:
    gateway = FakeGateway()
    gateway.changes.append(entries)
    return gateway


def _get(gateway: FakeGateway, **query: Any) -> dict[str, Any]:
    answer = gateway.client.get(EVENTS, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


class TestOrder:
    @given(logs, st.integers(1, 5), st.integers(1, 4))
    def test_pages_and_blocks_of_any_size_give_the_same_events_once_in_order(
        self, entries: list[Entry], limit: int, block: int
    ) -> None:
        service = _service(_log(entries))
        everything = list(_walk(service, 1, None, 1_000))
        numbers = [int(event["id"]) for event in everything]
        assert numbers == sorted(set(numbers))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(feed, "_BLOCK", block)
            patch.setattr(feed, "_BLOCKS", 2)
            assert list(_walk(service, 1, None, limit)) == everything
            for place, number in enumerate(numbers):  # the id of an event is a cursor
                assert list(_walk(service, number, None, limit)) == everything[place + 1 :]

    @given(logs, st.sets(st.sampled_from(EVENT_TYPES), min_size=1), st.integers(1, 5))
    def test_types_leave_out_the_others_and_nothing_else(
        self, entries: list[Entry], types: set[EventType], limit: int
    ) -> None:
        service = _service(_log(entries))
        everything = list(_walk(service, 1, None, 1_000))
        assert list(_walk(service, 1, tuple(types), limit)) == [e for e in everything if e["type"] in types]

    @given(logs, logs, st.integers(1, 5))
    def test_who_goes_on_from_the_end_sees_what_comes_and_nothing_twice(
        self, before: list[Entry], after: list[Entry], limit: int
    ) -> None:
        log = _log(before)
        service = _service(log)
        seen = list(_walk(service, 1, None, limit))
        end = service.after(1, None, 1_000, 0).end
        log.append(after)
        assert [*seen, *_walk(service, end, None, limit)] == list(_walk(service, 1, None, 1_000))


class TestWhatIsTold:
    def test_an_entry_that_moved_a_customer_is_two_events(self) -> None:
        moved = move("seg-01", "seg-02") | {"confidence": 0.8, "rival": "seg-01", "model_version": "v1"}
        changed = about("customer", "A", 1, seq=4, created_at=at(0), segment=moved, fields=["BALANCE"])
        page = _get(_gateway({**changed, "values": {"BALANCE": [1.0, 2.0]}}))
        told = {
            "at": "2124-05-01T12:00:01Z",
            "subject": {"type": "customer", "id": "A"},
            "seq": 4,
            "created_at": "2124-05-01T12:00:00Z",
            "cause": "customer_data",
            "actor": {"kind": "api_key", "id": "k1"},
            "data": {"from": "seg-01", "to": "seg-02", "confidence": 0.8, "rival": "seg-01", "model_version": "v1"},
        }
        kinds = ((2, "customer.updated"), (3, "customer.segment_changed"))
        assert page["items"] == [{"id": str(number), "type": kind, **told} for number, kind in kinds]
        assert (page["next_cursor"], page["more"]) == ("3", False)

    @pytest.mark.parametrize(
        ("type_", "told"),
        [
            ("customer.created", ["customer.created", "customer.segment_changed"]),
            ("customer.restored", ["customer.restored", "customer.segment_changed"]),
            ("customer.rescored", ["customer.segment_changed"]),
            ("customer.segment_changed", ["customer.segment_changed"]),
            ("customer.deleted", ["customer.deleted"]),
            ("customer.erased", ["customer.erased"]),
        ],
    )
    def test_a_change_of_segment_of_a_customer_that_is_there_is_an_event(self, type_: str, told: list[str]) -> None:
        page = _get(_gateway(about("customer", "A", type=type_, segment=move("seg-01", "seg-02"))))
        assert [event["type"] for event in page["items"]] == told

    def test_an_erasure_tells_whom_for_three_days_and_then_by_a_digest(self) -> None:
        gone = about("erasure", "e1", type="customer.erased", erased_id="A", data={"digest": "d"})
        gateway = _gateway({**gone, "at": now()}, {**gone, "at": now() - timedelta(hours=73)})
        for event, cust_id in zip(_get(gateway)["items"], ("A", None), strict=True):
            assert event["subject"] == {"type": "customer", "id": cust_id}
            assert event["data"] == {"digest": "d", "erasure": "e1"}

    def test_an_activation_of_what_was_active_is_no_event(self) -> None:
        again = about("model", "v1", type="model.activated", data=ALREADY_ACTIVE)
        assert _get(_gateway(again, about("customer", "A")))["items"][0]["subject"]["id"] == "A"

    def test_what_else_there_is_to_tell(self) -> None:
        digest = {"rescored": 9, "moved": 2, "list": "/api/v1/customers?model_version=v2"}
        page = _get(
            _gateway(
                about("model", "v2", type="model.activated", cause=None, before="v1", after="v2"),
                about(
                    "customer", "A", type="customer.segment_changed", segment=move(None, "s"), data={"was": "seg-01"}
                ),
                about("assignments", None, type="assignments.recomputed", data=digest),
                *(about("training", "t", type=kind) for kind in QUIET),
            )
        )
        activated, moved, recomputed = (event["data"] for event in page["items"])
        assert activated == {"from": "v1", "to": "v2"}
        assert moved["was"] == "seg-01"
        assert recomputed == digest
        assert page["next_cursor"] == "13"


class TestCursors:
    def test_from_the_earliest_and_from_now(self) -> None:
        gateway = _gateway(*(about("customer", name) for name in "AB"))
        assert len(_get(gateway)["items"]) == 2
        page = _get(gateway, after="now")
        assert page == {"items": [], "next_cursor": "5", "more": False}
        gateway.changes.append([about("customer", "C")])
        assert [event["subject"]["id"] for event in _get(gateway, after=page["next_cursor"])["items"]] == ["C"]

    def test_a_cursor_whose_events_are_not_kept_any_more_names_the_earliest_that_holds(self) -> None:
        gateway = _gateway(*(about("customer", name, seconds) for seconds, name in enumerate("ABC")))
        gateway.changes.forget(at(2))
        for gone in ("1", "2", "3", "4"):
            problem = assert_problem(gateway.client.get(f"{EVENTS}?after={gone}"), 410, "cursor_expired")
            assert problem["earliest"] == "5"
        for kept in (_get(gateway), _get(gateway, after=problem["earliest"])):
            assert [event["subject"]["id"] for event in kept["items"]] == ["C"]
        gateway.changes.forget(at(9))
        problem = assert_problem(gateway.client.get(f"{EVENTS}?after=5"), 410, "cursor_expired")
        assert problem["earliest"] == _get(gateway)["next_cursor"] == "7"

    def test_the_cursor_of_another_database_has_expired(self) -> None:
        gateway = _gateway(about("customer", "A"))
        problem = assert_problem(gateway.client.get(f"{EVENTS}?after=999"), 410, "cursor_expired")
        assert problem["earliest"] == "1"

    def test_a_database_that_answers_from_before_ends_no_cursor(self) -> None:
        class Lagging(InMemoryChangeLog):
            asked = 0

            def head(self) -> int:
                self.asked += 1
                return super().head() - (self.asked == 1)

        log = Lagging()
        log.append([about("customer", "A")])
        assert _service(log).after(3, None, 10, 0) == ([], 3, False)
        assert log.asked == 2

    def test_what_is_missing_in_the_middle_is_not_stepped_over(self) -> None:
        gateway = _gateway(*(about("customer", name) for name in "ABC"))
        del gateway.changes.entries[2]
        assert assert_problem(gateway.client.get(EVENTS), 410, "cursor_expired")["earliest"] == "5"

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("after=x", "?after"),
            ("after=-1", "?after"),
            ("after=", "?after"),
            ("after=1234567890123456789", "?after"),
            ("after=%D9%A1", "?after"),
            ("type=customer", "?type"),
            ("type=customer.created,", "?type"),
            ("type=api_key.created", "?type"),
            ("limit=1001", "?limit"),
            ("wait=31", "?wait"),
            ("wait=0.5", "?wait"),
            ("cursor=5", "?cursor"),
        ],
    )
    def test_queries_that_break_the_rules(self, gateway: FakeGateway, query: str, pointer: str) -> None:
        assert_problem(gateway.client.get(f"{EVENTS}?{query}"), 422, "validation_failed", [pointer])


class TestWaiting:
    def test_an_event_that_comes_ends_it(self) -> None:
        log = _log([about("customer", "A")])
        service = _service(log)
        with _meanwhile(lambda: log.append([about("customer", "B")])):
            found = service.after(3, None, 10, 30)
        assert [event["subject"]["id"] for event in found.items] == ["B"]

    def test_others_do_not_but_the_cursor_moves_past_them(self) -> None:
        log = _log([])
        waits: list[int] = []

        class News(LogWatcher):
            def wait(self, position: int, seconds: float) -> bool:
                waits.append(position)
                log.append([about("training", "t", type="training.started")])
                return len(waits) < 4

        service = FeedService(log, InMemoryTransactions(list), News(log.head))
        assert service.after(1, None, 10, 30) == ([], 7, False)
        assert waits == [0, 1, 2, 3]

    def test_nobody_waits_where_there_is_something_or_no_time_is_given(self) -> None:
        service = FeedService(_log([about("customer", "A")]), InMemoryTransactions(list), None)  # type: ignore[arg-type]
        assert service.after(1, None, 10, 30).items
        assert not service.after(3, None, 10, 0).items

    def test_the_time_is_up(self) -> None:
        assert _service(_log([])).after(1, None, 10, 0.01) == ([], 1, False)

    def test_a_database_that_comes_back_in_time_ends_it(self) -> None:
        looks = iter([StoreUnavailable("away"), StoreUnavailable("away"), 5])

        def head() -> int:
            if isinstance(look := next(looks, 5), StoreUnavailable):
                raise look
            return look

        assert LogWatcher(head, 0.001).wait(4, 30)

    def test_many_readers_cost_one_look(self) -> None:
        looks: list[str] = []
        everybody = threading.Barrier(9)

        def head() -> int:
            looks.append(threading.current_thread().name)
            return 0 if len(looks) < 3 else 9

        news = LogWatcher(head, 0.05)
        done: list[bool] = []

        def read() -> None:
            everybody.wait()
            done.append(news.wait(3, 30))

        readers = [threading.Thread(target=read) for _ in range(8)]
        for reader in readers:
            reader.start()
        everybody.wait()
        for reader in readers:
            reader.join()
        assert done == [True] * 8
        assert len(looks) < 8
        assert set(looks) == {"log-watcher"}

    def test_an_end_of_the_process_lets_everybody_go(self) -> None:
        news = LogWatcher(lambda: 0, 0.001)
        with _meanwhile(news.close):
            assert not news.wait(3, 30)
        assert not news.wait(3, 30)

    def test_as_many_as_may_wait_and_others_are_refused_and_read_on(self) -> None:
        gateway = _gateway()
        readers = gateway.services.access.concurrency_limits.readers
        for place in range(readers.places):
            readers.take(f"caller {place}")
        answer = gateway.client.get(f"{EVENTS}?wait=1")
        assert_problem(answer, 503, "too_many_readers")
        assert int(answer.headers["Retry-After"]) > 0
        assert gateway.client.get(EVENTS).status_code == gateway.client.get("/api/v1/customers").status_code == 200

    def test_who_waits_holds_no_place_of_other_work(self) -> None:
        held: list[tuple[int, int]] = []

        class Watched(InMemoryChangeLog):
            def head(self) -> int:
                held.append((limits.readers._free, limits.many._free))
                if len(held) == 2:
                    self.append([about("customer", "A")])
                return super().head()

        gateway = FakeGateway(changes=Watched())
        limits = gateway.services.access.concurrency_limits
        assert _get(gateway, wait=30)["items"]
        assert held[-1] == (limits.readers.places - 1, limits.many.places)


class _meanwhile:  # noqa: N801  # used as a function
    """Does something in another thread within a `with` block."""

    def __init__(self, do: Any) -> None:
        self._thread = threading.Timer(0.01, do)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
