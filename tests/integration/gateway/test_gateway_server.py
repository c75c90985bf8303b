"""The gateway as a process, under both servers: what clients do to it over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo import MongoClient
from support.customers import body
from support.gateway_process import NO_HEADERS, SERVERS, START_SECONDS, Gateway, running_gateway
from support.servers import Mongod, own_database

THREADS = 2
"""GATEWAY_THREADS; few, so that few clients are enough to hold all the places that their key may have."""


def _running(uri: str, server: str, log: Path, **settings: str) -> AbstractContextManager[Gateway]:
    return running_gateway(uri, server, log, GATEWAY_THREADS=THREADS, **settings)


@pytest.fixture(scope="module", params=SERVERS)
def gateway(
    request: pytest.FixtureRequest,
    mongod: Mongod,
    mongo_client: MongoClient[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    log = tmp_path_factory.mktemp("log") / "gateway.log"
    with own_database(mongo_client) as name, _running(mongod.uri(name), request.param, log) as running:
        yield running


def _whole_answer(connection: socket.socket) -> str:
    text = b""
    while piece := connection.recv(65536):
        text += piece
    return text.decode()


def _status(connection: socket.socket) -> str:
    with connection:
        return connection.recv(65536).decode().split()[1]


class TestClients:
    def test_one_that_leaves_half_a_body_changes_nothing(self, gateway: Gateway) -> None:
        before = gateway.ask("PUT", "/api/v1/customers/HALF", json=body("HALF")).json()
        text = b'{"TENURE": 10}  '
        head = "PATCH /api/v1/customers/HALF HTTP/1.1\r\nContent-Type: application/json\r\n"
        with gateway.raw(f"{head}Content-Length: {len(text) + 9}", text) as client:
            client.shutdown(socket.SHUT_WR)
            client.recv(65536)
        after = gateway.ask("GET", "/api/v1/customers/HALF").json()
        assert after["revision"] == before["revision"]

    def test_idle_ones_hold_no_thread(self, gateway: Gateway) -> None:
        clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(3 * THREADS)]
        try:
            assert gateway.ask("GET", "/api/v1/customers").ok
        finally:
            for client in clients:
                client.close()


class TestRequests:
    @pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.3"])
    def test_with_an_offer_to_upgrade_are_answered_without(self, gateway: Gateway, offer: str) -> None:
        content = json.dumps(body("OFFERED")).encode()
        head = f"PUT /api/v1/customers/OFFERED HTTP/1.1\r\nContent-Type: application/json\r\nUpgrade: {offer}\r\n"
        head += f"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: {len(content)}"
        assert _status(gateway.raw(head, content)) in ("200", "201")

    @pytest.mark.parametrize("host", ["", "Host: a\r\nHost: b\r\n", "Host: \r\n", "Host: a b\r\n", "Host: a/b\r\n"])
    def test_name_one_host(self, gateway: Gateway, host: str) -> None:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            connection.sendall(f"GET /health/live HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
            answer = _whole_answer(connection)
        assert answer.split()[1] == "400"
        assert "application/problem+json" in answer

    def test_have_none_of_the_environments_variables(self, gateway: Gateway) -> None:
        answer = requests.get(f"{gateway.base}/api/v1/customers", timeout=20)
        assert answer.status_code == 401
        assert answer.headers["X-Request-ID"] != NO_HEADERS["HTTP_X_REQUEST_ID"]
        assert gateway.ask("PUT", "/api/v1/customers/PLAIN", json=body("PLAIN")).ok
        assert gateway.ask("DELETE", "/api/v1/customers/PLAIN").status_code == 204

    def test_that_are_no_http_are_refused_by_a_problem(self, gateway: Gateway) -> None:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            connection.sendall(b"GARBAGE\r\n\r\n")
            head, _, content = _whole_answer(connection).partition("\r\n\r\n")
        assert head.split()[1] == "400"
        if gateway.explains:  # granian says nothing but the status, and offers no way to say more
            assert json.loads(content)["code"] == "bad_request"
            assert "application/problem+json" in head


@pytest.fixture(scope="module")
def proxied_database(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    with own_database(mongo_client) as name:
        yield name


@pytest.fixture(scope="module")
def behind_a_proxy(
    mongod: Mongod, proxied_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    log = tmp_path_factory.mktemp("log") / "gateway.log"
    # By the command that is granian's: behind a proxy it takes the server that tells the names apart.
    with _running(mongod.uri(proxied_database), "granian", log, TRUSTED_PROXIES="1") as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [
        "X-Forwarded-For: 203.0.113.7\r\nX_Forwarded_For: 198.51.100.1",
        "X_Forwarded_For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.7",
        "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: [::ffff:203.0.113.7]:4711",
        "X-Forwarded-For: 198.51.100.1, 203.0.113.7:4711\r\nx-forwarded_for: 198.51.100.1",
    ],
)
def test_behind_a_proxy_callers_are_whom_the_proxy_names(
    behind_a_proxy: Gateway, mongo_client: MongoClient[dict[str, Any]], proxied_database: str, headers: str
) -> None:
    cust_id = f"N{abs(hash(headers))}"
    content = json.dumps(body(cust_id)).encode()
    head = f"PUT /api/v1/customers/{cust_id} HTTP/1.1\r\n{headers}\r\nContent-Type: application/json\r\n"
    assert _status(behind_a_proxy.raw(f"{head}Content-Length: {len(content)}", content)) == "201"
    stored = mongo_client[proxied_database]["customers"].find_one({"_id": cust_id})
    assert stored is not None
    assert [entry["address"] for entry in stored["outbox"]] == ["203.0.113.7"]


@pytest.mark.parametrize("server", SERVERS)
def test_workers_end_with_a_master_that_is_killed(
    server: str, mongod: Mongod, mongo_client: MongoClient[dict[str, Any]], tmp_path: Path
) -> None:
    with own_database(mongo_client) as name, _running(mongod.uri(name), server, tmp_path / "log") as running:
        running.process.kill()
        give_up_at = time.monotonic() + START_SECONDS
        with contextlib.suppress(ConnectionRefusedError):
            while time.monotonic() < give_up_at:
                socket.create_connection(("127.0.0.1", running.port), timeout=20).close()
                time.sleep(0.05)
            pytest.fail("somebody still listens")


class TestAnswers:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/", 200), ("GET", "/nowhere", 404), ("POST", "/", 405), ("GET", "/api/v1/customers", 200)],
    )
    def test_no_answer_says_what_serves_it(self, gateway: Gateway, method: str, path: str, status: int) -> None:
        answer = gateway.ask(method, path)
        assert answer.status_code == status
        assert answer.headers.get("Server") in (None, "gateway")
        for software in ("granian", "gunicorn", "python", "flask", "werkzeug"):
            assert software not in str(answer.headers).lower()

    def test_headers_reach_the_client(self, gateway: Gateway) -> None:
        answer = gateway.ask("GET", "/api/v1/customers")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert int(answer.headers["RateLimit-Remaining"]) < int(answer.headers["RateLimit-Limit"])

    def test_a_chunked_body_is_read(self, gateway: Gateway) -> None:
        def pieces() -> Iterator[bytes]:
            yield b'{"customers": '
            yield b"[]}"

        answer = gateway.ask("POST", "/api/v1/predictions", data=pieces(), headers={"Content-Type": "application/json"})
        assert answer.json()["errors"][0]["pointer"] == "/customers"

    def test_a_query_too_long_is_refused(self, gateway: Gateway) -> None:
        answer = gateway.ask("GET", "/api/v1/customers?limit=" + "1" * 62_000)
        assert answer.status_code == 414

    def test_many_at_once_are_answered(self, gateway: Gateway) -> None:
        def write(number: int) -> int:
            return gateway.ask("PUT", f"/api/v1/customers/N{number}", json=body(f"N{number}")).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(write, range(60))) == {201}
