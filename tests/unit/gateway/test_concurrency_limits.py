"""Bounds by kind of work: what hangs or is slow holds no thread that others need, and no caller holds all of a kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import pytest
from fakes.api_keys import ADMIN_KEY
from fakes.gateway import CUSTOMERS, EXPORTS, MODELS, PREDICTIONS, SEGMENTS, TRAININGS, FakeGateway
from fakes.registry import NEW
from hypothesis import given
from hypothesis import strategies as st
from support.customers import body, inputs, stored
from support.problems import assert_problem

from gateway.services.access import concurrency
from gateway.services.access.concurrency import ConcurrencyLimit, concurrency_limits
from gateway.services.errors import ModelBusy, SegmentationError
from gateway.services.events.log import Memory
from gateway.settings import Settings
from shared.features import CUST_ID, INPUT_NAMES
from shared.model_contract import CSV

FILE = f"{CUST_ID},{','.join(INPUT_NAMES)}\n"
WORK: dict[str, list[tuple[str, str]]] = {
    "records": [
        ("GET", "/health/ready"),
        ("GET", f"{CUSTOMERS}/A"),
        ("PUT", f"{CUSTOMERS}/A"),
        ("GET", f"{CUSTOMERS}/A/segment"),
    ],
    "many": [
        ("GET", CUSTOMERS),
        ("POST", f"{CUSTOMERS}/batch"),
        ("GET", "/api/v1/deleted-customers"),
        ("GET", "/api/v1/audit"),
        ("GET", "/api/v1/imports"),
        ("GET", "/api/v1/api-keys"),
        ("GET", "/api/v1/events"),
        ("GET", f"{SEGMENTS}/sizes"),
    ],
    "model": [
        ("GET", MODELS),
        ("GET", f"{MODELS}/active"),
        ("GET", f"{MODELS}/active/report"),
        ("GET", f"{MODELS}/active/plots/elbow.svg"),
        ("GET", "/api/v1/activations"),
        ("GET", TRAININGS),
        ("POST", PREDICTIONS),
        ("POST", f"{PREDICTIONS}?explain=true"),
    ],
    "both": [
        ("POST", f"{MODELS}/{NEW}/activate"),
        ("GET", f"{CUSTOMERS}/A/segment?explain=true"),
        ("POST", f"{CUSTOMERS}/A/segment"),
        ("PATCH", f"{SEGMENTS}/seg-01"),
        ("GET", SEGMENTS),
    ],
    "exports": [("GET", EXPORTS)],
    "imports": [("POST", "/api/v1/imports")],
    "analyses": [
        ("POST", MODELS),
        ("GET", f"{MODELS}/active/preview"),
        ("GET", f"{MODELS}/{NEW}/drift?format=png"),
        ("GET", f"{SEGMENTS}/transitions?since=2026-01-01T00:00:00Z"),
    ],
    "pages": [("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/openapi/model-service.json")],
}
CODES = {"model": "model_busy", "both": "model_busy", "pages": "clients_slow"} | dict.fromkeys(
    ("records", "many"), "store_unavailable"
)
KINDS = [(kind, method, path) for kind, requests in WORK.items() for method, path in requests]
OK = (200, 201, 202)

each_request = pytest.mark.parametrize(("kind", "method", "path"), KINDS)


@pytest.fixture(autouse=True)
def nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused after a wait is refused at once here."""
    monkeypatch.setattr(concurrency, "QUEUE_SECONDS", 0.01)


@contextmanager
def _full(limit: ConcurrencyLimit) -> Iterator[int]:
    """Hold every place, each for another caller, and yield how many there are."""
    with ExitStack() as held:
        for count in range(1_000):
            try:
                held.enter_context(limit.held(f"caller {count}"))
            except SegmentationError:
                yield count
                return


def _places_of(limit: ConcurrencyLimit, caller: str) -> int:
    with ExitStack() as held:
        for count in range(1_000):
            try:
                held.enter_context(limit.held(caller))
            except SegmentationError:
                return count
    raise AssertionError


def _gateway() -> FakeGateway:
    gateway = FakeGateway(settings=Settings(threads=2))
    gateway.store.insert(stored("A"))
    gateway.count_segments()
    gateway.changes.kept = Memory(0, datetime.min, datetime.min)
    return gateway


def _open(gateway: FakeGateway, method: str, path: str) -> Any:
    if path == "/api/v1/imports" and method == "POST":
        return gateway.send(method, path, FILE, CSV)
    sent: Any = inputs() if path.startswith(PREDICTIONS) or method == "PUT" else None
    return gateway.client.open(
        path, method=method, json={"customers": [body("B")]} if path.endswith("/batch") else sent
    )


class TestBounds:
    @pytest.mark.parametrize("size", [1, 2, 3, 4, 64])
    def test_leave_places_of_every_kind_for_other_callers(self, size: int) -> None:
        for limit in concurrency_limits(size):
            assert 1 <= _places_of(limit, "greedy") < limit.places

    @pytest.mark.parametrize("size", [1, 4])
    def test_leave_a_thread_over_when_all_places_are_held_and_waited_for(self, size: int) -> None:
        limits = concurrency_limits(size)
        most = 0
        for limit in limits:
            with _full(limit) as held:
                most += held + limit.waiting
        assert most < limits.threads

    @pytest.mark.parametrize("size", [1, 4])
    @pytest.mark.parametrize("kind", ["records", "many", "model", "both", "keys", "quotas"])
    def test_let_sixty_connections_of_one_caller_have_their_turn(
        self, size: int, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(concurrency, "QUEUE_SECONDS", 30.0)
        limit: ConcurrencyLimit = getattr(concurrency_limits(size), kind)
        all_there, served, refused = threading.Event(), list[int](), list[int]()

        def request(number: int) -> None:
            try:
                with limit.held("front end"):
                    all_there.wait(10)
                served.append(number)
            except SegmentationError:
                refused.append(number)

        threads = [threading.Thread(target=request, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        while sum(limit._held.values()) + len(limit._queue) + len(refused) < len(threads):
            time.sleep(0.001)
        all_there.set()
        for thread in threads:
            thread.join(10)
        assert (refused, sorted(served)) == ([], list(range(60)))


class TestPlaces:
    def test_come_back_also_after_an_error(self) -> None:
        limit = ConcurrencyLimit(1, ModelBusy)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), limit.held("c"):
                raise ZeroDivisionError

    def test_are_waited_for_in_the_order_of_arrival(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(concurrency, "QUEUE_SECONDS", 30.0)
        limit, got = ConcurrencyLimit(1, ModelBusy, 4), list[str]()

        def wait(name: str) -> None:
            with limit.held(name):
                got.append(name)

        threads = [threading.Thread(target=wait, args=(name,)) for name in "abc"]
        with limit.held("first"):
            for count, thread in enumerate(threads, 1):
                thread.start()
                while len(limit._queue) < count:
                    pass
        for thread in threads:
            thread.join(10)
        assert got == ["a", "b", "c"]

    def test_go_past_a_caller_that_has_its_share(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(concurrency, "QUEUE_SECONDS", 30.0)
        limit, got = ConcurrencyLimit(2, ModelBusy, 4), list[str]()
        limit.take("greedy")
        limit.take("other")

        def wait(name: str) -> None:
            limit.take(name)
            got.append(name)

        threads = [threading.Thread(target=wait, args=(name,)) for name in ("greedy", "third")]
        for count, thread in enumerate(threads, 1):
            thread.start()
            while len(limit._queue) < count:
                pass
        limit.give_back("other")
        threads[1].join(10)
        assert got == ["third"]
        limit.give_back("greedy")
        threads[0].join(10)
        assert got == ["third", "greedy"]

    def test_of_the_queue_are_bounded_too_and_not_all_for_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(concurrency, "QUEUE_SECONDS", 30.0)
        limit = ConcurrencyLimit(2, ModelBusy, 4)
        callers = ["greedy", "greedy", "second", "third"]
        limit.take("greedy")
        limit.take("other")
        threads = [threading.Thread(target=limit.take, args=(name,)) for name in callers]
        for count, thread in enumerate(threads, 1):
            thread.start()
            while len(limit._queue) < count:
                pass
            if count == 2:
                with pytest.raises(ModelBusy):
                    limit.take("greedy")
        with pytest.raises(ModelBusy):
            limit.take("fourth")
        for caller in ("greedy", "other", "greedy", "second", "third", "greedy"):
            while not limit._held.get(caller):
                pass
            limit.give_back(caller)
        for thread in threads:
            thread.join(10)
        assert not limit._held

    @given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
    def test_add_up(self, places: int, steps: list[tuple[str, bool]]) -> None:
        limit, held = ConcurrencyLimit(places, ModelBusy), list[str]()
        for caller, takes in steps:
            if not takes and caller in held:
                held.remove(caller)
                limit.give_back(caller)
            elif takes:
                may = len(held) < places and held.count(caller) < max(1, places // 2)
                try:
                    limit.take(caller)
                except ModelBusy:
                    assert not may
                else:
                    assert may
                    held.append(caller)
        for caller in held:
            limit.give_back(caller)
        assert (limit._free, limit._held, limit._queue) == (places, {}, [])


class TestKinds:
    @each_request
    def test_one_too_many_is_refused(self, kind: str, method: str, path: str) -> None:
        gateway = _gateway()
        with _full(getattr(gateway.services.access.concurrency_limits, kind)):
            answer = _open(gateway, method, path)
            assert gateway.client.get("/health/live").status_code == 200
        assert_problem(answer, 503, CODES.get(kind, "analysis_busy"))
        assert answer.headers["Retry-After"] == "1"
        assert (gateway.registry.uploads, gateway.registry.blocks, gateway.registry.orders) == ([], [], [])
        assert gateway.orders.orders == gateway.outboxes.added == {}
        assert _open(gateway, method, path).status_code in OK

    @each_request
    def test_the_other_kinds_go_on(self, kind: str, method: str, path: str) -> None:
        gateway = _gateway()
        limits = gateway.services.access.concurrency_limits
        with ExitStack() as held:
            for other in WORK:
                if other != kind:
                    held.enter_context(_full(getattr(limits, other)))
            assert _open(gateway, method, path).status_code in OK

    @each_request
    def test_one_caller_leaves_places_for_another(self, kind: str, method: str, path: str) -> None:
        gateway = _gateway()
        limit = getattr(gateway.services.access.concurrency_limits, kind)
        with ExitStack() as held:
            for _ in range(_places_of(limit, "greedy")):
                held.enter_context(limit.held("greedy"))
            assert _open(gateway, method, path).status_code in OK

    def test_every_place_comes_back(self) -> None:
        gateway = _gateway()
        for _ in range(3):
            for _, method, path in KINDS:
                with _open(gateway, method, path) as answer:
                    assert answer.status_code in OK
                    assert answer.get_data() is not None
        for limit in gateway.services.access.concurrency_limits:
            assert (limit._free, limit._held) == (limit.places, {})

    def test_a_slow_body_holds_no_place_of_its_kind(self) -> None:
        gateway = _gateway()
        limits = gateway.services.access.concurrency_limits
        seen = list[int]()

        class Slow:
            def read(self, _size: int = -1) -> bytes:
                seen.append(limits.records._free)
                return b"{}"

        gateway.client.open(
            CUSTOMERS,
            method="POST",
            environ_overrides={"wsgi.input": Slow(), "CONTENT_LENGTH": "2", "CONTENT_TYPE": "application/json"},
        )
        assert seen == [limits.records.places]

    def test_a_stream_holds_its_place_to_its_end(self) -> None:
        gateway = _gateway()
        limit = gateway.services.access.concurrency_limits.exports
        with gateway.client.get(EXPORTS, buffered=False) as answer:
            assert limit._free == limit.places - 1
            assert answer.get_data()
        assert limit._free == limit.places

    def test_gunicorn_holds_a_thread_for_every_answer_until_it_is_taken(self) -> None:
        gateway = _gateway()
        limit = gateway.services.access.concurrency_limits.records
        environ = {"gunicorn.socket": object()}
        with gateway.client.get(f"{CUSTOMERS}/A", buffered=False, environ_overrides=environ):
            assert limit._free == limit.places - 1
        assert limit._free == limit.places


class TestKeysAndCounts:
    def test_reading_unknown_keys_is_bounded(self) -> None:
        gateway = _gateway()
        with _full(gateway.services.access.concurrency_limits.keys):
            assert_problem(gateway.client.get(CUSTOMERS), 503, "store_unavailable")
        assert gateway.client.get(CUSTOMERS).status_code == 200
        with _full(gateway.services.access.concurrency_limits.keys):
            assert gateway.client.get(CUSTOMERS).status_code == 200, "a known key needs none"

    def test_an_address_leaves_places_for_another(self) -> None:
        gateway = _gateway()
        limit = gateway.services.access.concurrency_limits.keys
        with ExitStack() as held:
            for _ in range(_places_of(limit, "address:192.0.2.1")):
                held.enter_context(limit.held("address:192.0.2.1"))
            theirs = gateway.client.get(CUSTOMERS, environ_base={"REMOTE_ADDR": "192.0.2.1"})
            assert_problem(theirs, 503, "store_unavailable")
            headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
            answer = gateway.anonymous.get(CUSTOMERS, environ_base={"REMOTE_ADDR": "192.0.2.2"}, headers=headers)
            assert answer.status_code == 200

    def test_counting_in_the_database_is_bounded(self) -> None:
        gateway = _gateway()
        with _full(gateway.services.access.concurrency_limits.quotas):
            assert_problem(gateway.client.get(CUSTOMERS), 503, "store_unavailable")
        assert gateway.client.get(CUSTOMERS).status_code == 200
        with _full(gateway.services.access.concurrency_limits.quotas):
            assert gateway.client.get(CUSTOMERS).status_code == 200, "what is leased already is counted in memory"
