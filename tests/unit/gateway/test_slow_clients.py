"""Clients that send slowly: a thread is left over, and whoever can be cut off is."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fakes.gateway import CUSTOMERS, EXPORTS, FakeGateway
from support.customers import stored
from support.problems import assert_problem

from gateway.controllers.exports import BROKEN_OFF
from gateway.controllers.slow_clients import ClientTimeouts, TimedBody, taken_in_time
from gateway.services.access import concurrency
from gateway.services.access.concurrency import ConcurrencyLimit
from gateway.services.errors import ClientsTooSlow
from gateway.settings import Settings


def _places() -> ConcurrencyLimit:
    return ConcurrencyLimit(4, ClientsTooSlow)


class Connection:
    """A client's connection; being cut off ends its silence."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def shutdown(self, _how: int) -> None:
        self.ended.set()


class Silence(io.BytesIO):
    """A body that comes when the connection ends, or never."""

    def __init__(self, ended: threading.Event) -> None:
        super().__init__()
        self._ended = ended

    def read(self, size: int | None = -1) -> bytes:
        assert self._ended.wait(30)
        return b""


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection()
    yield connection
    connection.ended.set()


def test_what_comes_in_time_is_returned() -> None:
    body = TimedBody(io.BytesIO(b"a body"), ClientTimeouts(30, _places()), None, "c")
    assert [body.read(2), body.read()] == [b"a ", b"body"]


def test_a_silent_client_is_cut_off(connection: Connection) -> None:
    body = TimedBody(Silence(connection.ended), ClientTimeouts(0.05, _places()), connection, "c")  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        body.read()


def test_one_caller_leaves_places_for_others() -> None:
    timeouts = ClientTimeouts(30, _places())
    with ExitStack() as waiting:
        for _ in range(2):
            waiting.enter_context(timeouts.waiting(None, "slow"))
        with pytest.raises(ClientsTooSlow), timeouts.waiting(None, "slow"):
            pass
        waiting.enter_context(timeouts.waiting(None, "another"))
    with timeouts.waiting(None, "slow"):
        pass


def test_one_too_many_hears_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = FakeGateway()
    bodies = gateway.services.concurrency_limits.bodies
    monkeypatch.setattr(concurrency, "QUEUE_SECONDS", 0.01)
    with ExitStack() as waiting:
        for number in range(bodies.places):
            waiting.enter_context(bodies.held(f"slow {number}"))
        refused = gateway.client.post(CUSTOMERS, json={})
        assert_problem(refused, 503, "clients_slow")
        assert refused.headers["Retry-After"] == "1"
        assert gateway.client.get(CUSTOMERS).status_code == 200


class TestAnswersTakenSlowly:
    def test_what_is_taken_in_time_is_whole(self) -> None:
        gateway = FakeGateway()
        with gateway.app.test_request_context():
            assert list(taken_in_time(iter([b"a", b"b"]))) == [b"a", b"b"]

    def test_the_piece_that_took_too_long_is_the_last(self) -> None:
        gateway = FakeGateway(settings=Settings(request_timeout=0.1))
        made = list[bytes]()

        def pieces() -> Iterator[bytes]:
            for piece in (b"a", b"b", b"c"):
                made.append(piece)
                yield piece

        with gateway.app.test_request_context():
            taken = taken_in_time(pieces())
        assert next(taken) == b"a"
        time.sleep(0.15)
        with pytest.raises(TimeoutError, match=r"took more than 0\.1 s"):
            next(taken)
        assert made == [b"a"], "nothing more is read for it"

    def test_an_export_ends_with_a_mark(self) -> None:
        gateway = FakeGateway(settings=Settings(request_timeout=0.1))
        for number in range(5_000):
            gateway.store.insert(stored(f"C{number}"))
        with gateway.client.get(f"{EXPORTS}?format=ndjson", buffered=False) as answer:
            pieces = iter(answer.response)
            next(pieces)
            time.sleep(0.15)
            assert next(pieces) == BROKEN_OFF
            with pytest.raises(TimeoutError):
                next(pieces)
