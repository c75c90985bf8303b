"""Whatever hangs holds no thread that others need: a database that hangs, tier 2, or a client that does not read.

Each test first proves that the places of one kind of work are held, then that the other kinds answer all the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.gateway import CUSTOMERS, EXPORTS, PREDICTIONS
from fakes.model import FakeModel
from pymongo import MongoClient
from support.customers import body, inputs, stored
from support.gateway_process import SERVERS, START_SECONDS, Gateway, new_key, running_gateway
from support.scripted_server import serving, serving_model
from support.servers import Mongod, running_mongod

CLIENTS = 40
HELD = 60.0
"""Seconds for which a hanging database holds whoever waits for it: no test lasts so long."""
CUSTOMERS_STORED = 20_000
"""An export of them is more than all buffers on the way to a client take, 5 MB or so."""

each_server = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture(scope="module")
def own_mongod() -> Iterator[Mongod]:
    """A mongod that only the tests of this module use: they stop it."""
    with running_mongod() as server:
        yield server


@contextlib.contextmanager
def _hanging(mongod: Mongod) -> Iterator[None]:
    """Stop the mongod: its connections stay, and nothing answers."""
    assert mongod.process is not None
    os.kill(mongod.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, mongod.process.pid, os.WSTOPPED)
    try:
        yield
    finally:
        os.kill(mongod.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def _clients(gateway: Gateway, method: str, path: str, count: int = CLIENTS, **options: Any) -> Iterator[list[Any]]:
    """Send the same request from many clients, yield the answers to come, and wait for their end."""

    def ask(_: int) -> int | None:
        try:
            return gateway.ask(method, path, timeout=HELD, **options).status_code
        except requests.RequestException:  # the gateway has been stopped meanwhile
            return None

    with ThreadPoolExecutor(count) as pool:
        yield [pool.submit(ask, number) for number in range(count)]


def _until(holds: Any, what: str) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at, what
        time.sleep(0.05)


def _waiting(futures: list[Future[int]]) -> int:
    return sum(not future.done() for future in futures)


@each_server
def test_while_the_database_hangs_everything_else_goes_on(server: str, own_mongod: Mongod, tmp_path: Path) -> None:
    settings = {"MONGODB_TIMEOUT": HELD, "QUERY_TIMEOUT": HELD / 2}
    with (
        serving(serving_model(FakeModel())) as tier_2,
        running_gateway(
            own_mongod.uri(f"waits_{server}"), server, tmp_path / "log", MODEL_SERVICE_URL=tier_2.url, **settings
        ) as gateway,
        contextlib.ExitStack() as stack,
    ):
        assert gateway.ask("POST", PREDICTIONS, json=inputs()).ok
        with contextlib.ExitStack() as waits:
            stack.enter_context(_hanging(own_mongod))
            lists = waits.enter_context(_clients(gateway, "GET", CUSTOMERS))
            single = waits.enter_context(_clients(gateway, "GET", f"{CUSTOMERS}/A"))
            _until(lambda: _waiting(lists + single) < 2 * CLIENTS, "some are refused as all places of theirs are held")
            for _ in range(20):
                assert gateway.ask("GET", "/health/live", timeout=5).ok
            assert gateway.ask("POST", PREDICTIONS, json=inputs(), timeout=10).ok
            assert _waiting(lists) > 0, "the database still hangs, and somebody waits for it"
            assert _waiting(single) > 0
            refused = gateway.ask("GET", f"{CUSTOMERS}/A")
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert refused.headers["Retry-After"] == "1"
            stack.close()


def test_once_it_is_known_to_be_away_nobody_waits(own_mongod: Mongod, tmp_path: Path) -> None:
    uri = own_mongod.uri("breaker")
    with running_gateway(uri, "granian", tmp_path / "log", MONGODB_TIMEOUT=0.5) as gateway:
        assert gateway.ask("PUT", f"{CUSTOMERS}/A", json=inputs()).ok
        with _hanging(own_mongod):
            log = tmp_path / "log"
            _until(
                lambda: gateway.ask("GET", CUSTOMERS).status_code == 503 and "cannot be reached" in log.read_text(),
                "the outage is noticed",
            )
            with _clients(gateway, "GET", f"{CUSTOMERS}/A") as answers:
                pass
            assert {answer.result() for answer in answers} == {503}
            assert "too many" not in log.read_text().lower()
        _until(lambda: gateway.ask("GET", f"{CUSTOMERS}/A").ok, "the gateway notices that the database answers again")
        assert "the database answers again" in log.read_text()


def test_a_hanging_model_service_holds_up_predictions_alone(own_mongod: Mongod, tmp_path: Path) -> None:
    answering, model = threading.Event(), serving_model(FakeModel())

    def script(*arguments: Any) -> bool:
        answering.wait(HELD)
        return model(*arguments)

    settings = {"PREDICTION_DEADLINE": HELD}
    with (
        serving(script) as tier_2,
        running_gateway(
            own_mongod.uri("model"), "granian", tmp_path / "log", MODEL_SERVICE_URL=tier_2.url, **settings
        ) as gateway,
    ):
        assert gateway.ask("PUT", f"{CUSTOMERS}/A", json=inputs()).ok
        batch = {"customers": [inputs()] * 50}
        with _clients(gateway, "POST", PREDICTIONS, json=batch) as waiting:
            _until(lambda: _waiting(waiting) < CLIENTS, "some are refused as all places of theirs are held")
            assert gateway.ask("GET", "/health/live", timeout=5).ok
            assert gateway.ask("GET", f"{CUSTOMERS}/A").ok
            assert gateway.ask("GET", CUSTOMERS).ok
            assert _waiting(waiting) > 0
            answering.set()


@pytest.fixture(scope="module")
def filled(own_mongod: Mongod) -> str:
    """The address of a database with customers."""
    uri = own_mongod.uri("filled")
    customers = [{"_id": f"C{n:06}", **stored("x")} for n in range(CUSTOMERS_STORED)]
    for customer in customers:
        del customer["CUST_ID"]  # type: ignore[misc]
    with MongoClient[dict[str, Any]](uri) as client:
        client.get_default_database()["customers"].insert_many(customers, ordered=False)
    return uri


EXPORT = f"GET {EXPORTS}?format=ndjson HTTP/1.1\r\nConnection: close"


class TestAnswersThatAreNotTaken:
    @each_server
    def test_keep_nobody_else_from_anything(self, server: str, filled: str, tmp_path: Path) -> None:
        other = new_key(filled, "customers:read")
        with running_gateway(filled, server, tmp_path / "log") as gateway:
            silent = [gateway.raw(EXPORT, buffer=4096) for _ in range(8)]
            try:
                refused = _codes(silent)
                assert refused
                assert set(refused) == {"analysis_busy"}
                theirs = gateway.ask(
                    "GET", f"{EXPORTS}?CUST_ID[prefix]=C0000", headers={"Authorization": f"Bearer {other}"}
                )
                assert theirs.ok
                assert theirs.text.count("\n") == 101
                row = ",".join(f"{value}" for value in body("NEW").values())
                sent = f"{','.join(body('NEW'))}\n{row}\n"
                imported = gateway.ask("POST", "/api/v1/imports", data=sent, headers={"Content-Type": "text/csv"})
                assert imported.status_code == 201
                assert gateway.ask("GET", EXPORTS).status_code == 503, "its own places are still held"
            finally:
                for client in silent:
                    client.close()


def _codes(clients: list[socket.socket]) -> list[str]:
    """Return the codes of those requests that are refused, once the answers to all have begun."""
    found = []
    for client in clients:
        begin = client.recv(2048)
        while b"\r\n\r\n" not in begin:
            begin += client.recv(2048)
        if begin.startswith(b"HTTP/1.1 503"):
            found.append("analysis_busy" if b"analysis_busy" in begin + client.recv(2048) else begin.decode())
    return found
