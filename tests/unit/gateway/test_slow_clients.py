"""Clients that send slowly: a thread is left over, and whoever can be cut off is."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from support.problems import assert_problem

from gateway.controllers.slow_clients import ClientTimeouts, TimedBody
from gateway.services.errors import ClientsTooSlow


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
    body = TimedBody(io.BytesIO(b"a body"), ClientTimeouts(30, 4), None)
    assert [body.read(2), body.read()] == [b"a ", b"body"]


def test_a_silent_client_is_cut_off(connection: Connection) -> None:
    body = TimedBody(Silence(connection.ended), ClientTimeouts(0.05, 4), connection)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        body.read()


@pytest.mark.parametrize(("threads", "places"), [(1, 1), (2, 1), (4, 3), (16, 15)])
def test_a_thread_is_left_over(threads: int, places: int) -> None:
    timeouts = ClientTimeouts(30, threads)
    with ExitStack() as waiting:
        for _ in range(places):
            waiting.enter_context(timeouts.waiting(None))
        with pytest.raises(ClientsTooSlow), timeouts.waiting(None):
            pass
    with timeouts.waiting(None):
        pass


def test_one_too_many_hears_so() -> None:
    gateway = FakeGateway()
    timeouts = gateway.app.extensions["gateway.client_timeouts"]
    with ExitStack() as waiting:
        for _ in range(gateway.settings.threads - 1):
            waiting.enter_context(timeouts.waiting(None))
        refused = gateway.client.post(CUSTOMERS, json={})
        assert_problem(refused, 503, "clients_slow")
        assert refused.headers["Retry-After"] == "1"
        assert gateway.client.get(CUSTOMERS).status_code == 200
