"""The reverse proxy of deploy/proxy, the machine's nginx, before the real gateway under both servers."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.gateway import FakeGateway
from pymongo import MongoClient
from support.certificates import Authority
from support.customers import body, inputs, stored
from support.gateway_process import GRANIAN_BEHIND_A_PROXY, START_SECONDS, Gateway, running_gateway
from support.proxy_process import Proxy, command, ended, needs_nginx, problem_of, running_proxy
from support.scripted_server import Request, ScriptedServer, serving
from support.servers import Mongod, free_port, own_database

from shared.problems import MEDIA_TYPE

pytestmark = needs_nginx

CUSTOMERS = "/api/v1/customers"
EXPORT = "/api/v1/exports/customers?format=ndjson"
IMPORTS = "/api/v1/imports"
CSV = {"Content-Type": "text/csv"}
THREADS = 2
"""GATEWAY_THREADS: a caller has one place for exports, and two for single customers."""
CUSTOMERS_STORED = 20_000
"""An export of them is more than all buffers in memory on the way to a client, 5 MB or so."""


@dataclass
class Stack:
    """A gateway, a proxy with the time-outs of production before it, and one whose time-outs are short."""

    direct: Gateway
    proxy: Proxy
    impatient: Proxy
    database: str

    @property
    def gateway(self) -> Gateway:
        return self.proxy.gateway


@pytest.fixture(scope="module", params=["gunicorn", GRANIAN_BEHIND_A_PROXY])
def stack(
    request: pytest.FixtureRequest,
    mongod: Mongod,
    mongo_client: MongoClient[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    short = {"HEADER": "300ms", "BODY": "300ms", "SEND": "300ms", "ANSWER": "300ms"}
    with (
        own_database(mongo_client) as name,
        running_gateway(
            mongod.uri(name), request.param, folder / "log", GATEWAY_THREADS=THREADS, TRUSTED_PROXIES=1
        ) as direct,
        running_proxy(direct, folder / "proxy") as proxy,
        running_proxy(
            direct, folder / "impatient", **{f"PROXY_{what}_TIMEOUT": time for what, time in short.items()}
        ) as impatient,
    ):
        yield Stack(direct, proxy, impatient, name)


@pytest.fixture(scope="module")
def filled(stack: Stack, mongo_client: MongoClient[dict[str, Any]]) -> Stack:
    """The stack with many customers."""
    customers = [{**stored("x"), "_id": f"C{n:06}"} for n in range(CUSTOMERS_STORED)]
    for customer in customers:
        del customer["CUST_ID"]
    mongo_client[stack.database]["customers"].insert_many(customers, ordered=False)
    return stack


def _status(connection: socket.socket) -> int:
    with contextlib.closing(http.client.HTTPResponse(connection)) as answer:
        answer.begin()
        return answer.status


def _until(holds: Callable[[], object], what: object) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at, str(what)
        time.sleep(0.02)


POST = f"POST {CUSTOMERS} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 500"


class TestSlowClients:
    def test_headers_that_do_not_come_end_the_connection(self, stack: Stack) -> None:
        with socket.create_connection(("127.0.0.1", stack.impatient.gateway.port), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: gate")
            assert ended(connection)

    def test_a_body_that_does_not_come_ends_the_connection_and_the_gateway_hears_nothing(self, stack: Stack) -> None:
        with stack.impatient.gateway.raw(f"{POST}\r\nX-Request-ID: half-a-body", b"{") as client:
            assert ended(client)
        assert "half-a-body" in stack.impatient.log
        assert "half-a-body" not in (stack.proxy.folder.parent / "log").read_text()

    def test_many_of_them_hold_nothing_of_the_gateway(self, stack: Stack) -> None:
        clients = [stack.gateway.raw(POST, b"{") for _ in range(100)]
        try:
            for name in ("A", "B"):
                assert stack.gateway.ask("PUT", f"{CUSTOMERS}/{name}", json=body(name)).ok
        finally:
            for client in clients:
                client.close()

    def test_an_answer_that_is_not_taken_holds_nothing_of_the_gateway(self, filled: Stack) -> None:
        with filled.gateway.raw(f"GET {EXPORT} HTTP/1.1", buffer=4096) as silent:
            assert silent.recv(16).startswith(b"HTTP/1.1 200")
            _until(lambda: filled.direct.ask("HEAD", EXPORT).ok, "its only place is free")
            assert filled.proxy.kept, "what the client has not taken lies with the proxy"
            taken = _answer_rest(silent)
        assert taken.count(b"\n") >= CUSTOMERS_STORED

    def test_whoever_takes_nothing_is_cut_off(self, filled: Stack) -> None:
        with filled.impatient.gateway.raw(f"GET {EXPORT} HTTP/1.1\r\nX-Request-ID: not-taken", buffer=4096):
            _until(lambda: "not-taken" in filled.impatient.log, "the connection ends, and is logged")


def _answer_rest(connection: socket.socket) -> bytes:
    """Read a chunked answer to its end."""
    read = b""
    while not read.endswith(b"\r\n0\r\n\r\n"):
        piece = connection.recv(1_000_000)
        assert piece, "the answer broke off"
        read += piece
    return read


BIG = b"x" * 5_000_000
REFUSED = [
    (413, "body_too_large", "POST", CUSTOMERS, {}),
    (413, "body_too_large", "POST", "/nowhere", {}),
    (401, "unauthenticated", "POST", IMPORTS, {**CSV, "Authorization": "Bearer no"}),
    (401, "unauthenticated", "POST", "/api/v1/models", {**CSV, "Authorization": "Basic eDp5"}),
    (415, "unsupported_media_type", "POST", IMPORTS, {}),
    (422, "validation_failed", "POST", f"{IMPORTS}?unknown=1", CSV),
]


class TestBodies:
    @pytest.mark.parametrize("framing", ["length", "chunked"])
    @pytest.mark.parametrize(("status", "code", "method", "path", "headers"), REFUSED)
    def test_a_refusal_reaches_a_client_that_sends_everything_before_it_reads(
        self, stack: Stack, status: int, code: str, method: str, path: str, headers: dict[str, str], framing: str
    ) -> None:
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {stack.gateway.key}", **headers}
        pieces = [BIG[start : start + 65_536] for start in range(0, len(BIG), 65_536)]
        client = http.client.HTTPConnection("127.0.0.1", stack.gateway.port, timeout=20)
        with contextlib.closing(client):
            client.request(method, path, BIG if framing == "length" else iter(pieces), sent)
            answer = client.getresponse()
            content = json.loads(answer.read())
        assert (answer.status, content["status"], content["code"]) == (status, status, code)
        assert answer.headers["Content-Type"] == MEDIA_TYPE
        assert answer.headers.get_all("X-Request-ID") == [content["request_id"]]
        assert len(answer.headers.get_all("WWW-Authenticate", [])) == (status == 401)

    def test_a_file_of_somebody_without_a_key_is_neither_kept_nor_waited_for(self, stack: Stack) -> None:
        head = f"POST {IMPORTS} HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 900000000"
        with stack.gateway.raw(head, BIG, key="none") as client:
            assert _status(client) == 401
            assert stack.proxy.kept == []

    def test_a_file_may_be_larger_than_other_bodies_and_its_progress_is_told(self, stack: Stack) -> None:
        wide = "x" * 1_000  # in a column that is ignored
        rows = "".join(f"{wide},{','.join(str(v) for v in body(f'F{n}').values())}\n" for n in range(12_000))
        file = f"WIDE,{','.join(body())}\n{rows}".encode()
        assert len(file) > 12_000_000, "more than the system takes in between proxy and gateway"
        told = stack.gateway.ask(
            "POST", f"{IMPORTS}?dry_run=true", data=file, headers={**CSV, "Accept": "application/x-ndjson"}
        )
        lines = [json.loads(line) for line in told.text.splitlines()]
        assert told.status_code == 201
        assert lines[-1]["status"] == "completed"
        assert lines[-1]["rows"] == 12_000
        assert stack.proxy.kept == []

    def test_who_waits_for_an_invitation_gets_one(self, stack: Stack) -> None:
        content = json.dumps(body("INVITED")).encode()
        head = f"PUT {CUSTOMERS}/INVITED HTTP/1.1\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        with stack.gateway.raw(f"{head}Content-Length: {len(content)}") as client:
            assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
            client.sendall(content)
            assert client.recv(65536).split()[1] in (b"200", b"201")

    def test_a_client_that_hangs_up_half_way_changes_nothing(self, stack: Stack) -> None:
        assert stack.gateway.ask("PUT", f"{CUSTOMERS}/HALF", json=body("HALF")).ok
        text = b'{"TENURE": 10}  '
        head = f"PATCH {CUSTOMERS}/HALF HTTP/1.1\r\nContent-Type: application/json\r\nX-Request-ID: hung-up\r\n"
        stack.gateway.raw(f"{head}Content-Length: {len(text) + 9}", text).close()
        _until(lambda: "hung-up" in stack.proxy.log, "it is noticed")
        assert stack.gateway.ask("GET", f"{CUSTOMERS}/HALF").json()["TENURE"] == 12


class TestPages:
    def test_whoever_has_signed_in_sends_files(self, stack: Stack) -> None:
        base, file = stack.gateway.base, f"{','.join(body())}\n{','.join(str(v) for v in body('F1').values())}\n"
        with requests.Session() as browser:
            begun = browser.post(f"{base}/sign-in", data={"key": stack.gateway.key}, allow_redirects=False, timeout=20)
            assert (begun.status_code, begun.headers["Location"]) == (303, "/overview")
            page = browser.get(f"{base}/settings", timeout=20)
            assert "Content-Encoding" not in page.headers, "its length would tell what is in it"
            token = re.search('data-csrf-token="([^"]+)"', page.text)
            assert token
            sent = {"params": {"dry_run": "true"}, "data": file, "timeout": 20}
            done = browser.post(base + IMPORTS, headers={**CSV, "X-CSRF-Token": token[1]}, **sent)
            assert (done.status_code, done.json()["rows"]) == (201, 1)
            refused = browser.post(base + IMPORTS, headers=CSV, **sent)
            assert (refused.status_code, problem_of(refused)) == (403, "csrf_token_wrong")
            assert begun.cookies["session"] not in stack.proxy.log
        stranger = requests.post(base + IMPORTS, headers=CSV, cookies={"session": "made.up"}, **sent)
        assert (stranger.status_code, problem_of(stranger)) == (401, "unauthenticated")

    def test_their_files_are_packed_and_kept(self, tmp_path: Path) -> None:
        script = b"// what every page has\n" * 100
        kept = {"now": "public, max-age=31536000, immutable", "before": "no-store"}

        def answer(_: ScriptedServer, connection: socket.socket, request: Request) -> bool:
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nCache-Control: {kept[request.path.split('/')[2]]}"
            )
            connection.sendall(f"{head}\r\nContent-Length: {len(script)}\r\n\r\n".encode() + script)
            return True

        with serving(answer) as server, running_proxy(_gateway_at(int(server.url.split(":")[2])), tmp_path) as proxy:
            for digest, asked in (("now", 1), ("before", 3)):
                server.requests.clear()
                for _ in range(3):
                    told = proxy.gateway.ask("GET", f"/static/{digest}/app.js", headers={"Accept-Encoding": "gzip"})
                    assert (told.content, told.headers["Content-Encoding"]) == (script, "gzip")
                    assert told.headers["Cache-Control"] == kept[digest]
                assert len(server.requests) == asked


def test_long_addresses_and_headers_are_refused(stack: Stack) -> None:
    long = stack.gateway.ask("GET", f"{CUSTOMERS}?limit={'1' * 9_000}")
    assert (long.status_code, problem_of(long)) == (414, "uri_too_long")
    wide = stack.gateway.ask("GET", CUSTOMERS, headers={"X-Wide": "1" * 9_000})
    assert (wide.status_code, problem_of(wide)) == (431, "headers_too_large")


# What a gateway could take for the next request, if it saw an end of the first one that the proxy does not see.
SMUGGLED_BODY = json.dumps(inputs()).encode()
PREDICT = "POST /api/v1/predictions HTTP/1.1\r\nContent-Type: application/json\r\n"
SMUGGLING = {
    "a length and chunks": ("Content-Length: {size}\r\nTransfer-Encoding: chunked", b"0\r\n\r\n", "400"),
    "chunks and a length": ("Transfer-Encoding: chunked\r\nContent-Length: {size}", b"0\r\n\r\n", "400"),
    "two lengths": ("Content-Length: 2\r\nContent-Length: {size}", b"{}", "400"),
    "two lengths in one": ("Content-Length: 2, {size}", b"{}", "400"),
    "a signed length": ("Content-Length: +{size}", b"{}", "400"),
    "an unknown coding": ("Transfer-Encoding: xchunked\r\nContent-Length: {size}", b"0\r\n\r\n", "400 501"),
    "chunked and more": ("Transfer-Encoding: chunked, identity", b"0\r\n\r\n", "501"),
    "identity": ("Transfer-Encoding: identity\r\nContent-Length: {size}", b"0\r\n\r\n", "400 501"),
    "chunked twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n", "400"),
    "a space before the colon": ("Transfer-Encoding : chunked\r\nContent-Length: {size}", b"0\r\n\r\n", "400"),
    "a tab before the colon": ("Content-Length\t: {size}", b"{}", "400"),
    "an odd blank": ("Transfer-Encoding: \x0bchunked\r\nContent-Length: {size}", b"0\r\n\r\n", "400 501"),
    "a folded header": ("X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: {size}", b"0\r\n\r\n", "400"),
    "an underscore": ("Transfer_Encoding: chunked\r\nContent-Length: {size}", b"0\r\n\r\n", "422 400"),
    "an underscore in the length": ("Content_Length: 2\r\nContent-Length: {size}", b"{}", "422 400"),
    "a bare line feed": ("X-A: b\nContent-Length: {size}", b"{}", "422 400"),
    "a bare carriage return": ("X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: {size}", b"0\r\n\r\n", "422 400"),
    "a huge chunk": ("Transfer-Encoding: chunked", b"fffffffffffffffff\r\n", "400"),
}


@pytest.mark.parametrize("how", SMUGGLING)
def test_no_request_is_smuggled(stack: Stack, how: str) -> None:
    headers, before, statuses = SMUGGLING[how]
    name = f"SMUGGLED-{abs(hash(how))}"
    inner = f"PUT {CUSTOMERS}/{name} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {stack.gateway.key}\r\n"
    inner += f"Content-Type: application/json\r\nContent-Length: {len(SMUGGLED_BODY)}\r\n\r\n"
    content = before + inner.encode() + SMUGGLED_BODY
    with stack.gateway.raw(PREDICT + headers.format(size=len(content)), content) as connection:
        assert str(_status(connection)) in statuses.split()
    for _ in range(3):  # on connections that the proxy keeps, another caller would get the answer
        assert stack.gateway.ask("GET", f"{CUSTOMERS}/{name}").status_code == 404


class TestWhoCalls:
    @pytest.mark.parametrize(
        "headers",
        [
            "X-Forwarded-For: 203.0.113.7",
            "X_Forwarded_For: 203.0.113.7",
            "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 203.0.113.8\r\nForwarded: for=203.0.113.9",
            "X-Real-IP: 203.0.113.7\r\nx-forwarded_for: 203.0.113.7",
        ],
    )
    def test_is_whom_the_proxy_sees(
        self, stack: Stack, mongo_client: MongoClient[dict[str, Any]], headers: str
    ) -> None:
        name = f"N{abs(hash(headers))}"
        content = json.dumps(body(name)).encode()
        head = f"PUT {CUSTOMERS}/{name} HTTP/1.1\r\n{headers}\r\nContent-Type: application/json\r\n"
        with stack.gateway.raw(f"{head}Content-Length: {len(content)}", content) as connection:
            assert _status(connection) == 201
        written = mongo_client[stack.database]["customers"].find_one({"_id": name})
        assert written is not None
        assert [entry["address"] for entry in written["outbox"]] == ["127.0.0.1"]

    @pytest.mark.parametrize(
        ("sent", "kept"), [("a-good.ID:1_2", True), ("", False), ("a b", False), ("ä", False), ("x" * 129, False)]
    )
    def test_may_name_the_request_if_the_name_is_harmless(self, stack: Stack, sent: str, kept: bool) -> None:
        for path in ("/health/live", "/metrics"):
            answer = stack.gateway.ask("GET", path, headers={"X-Request-ID": sent.encode()})
            assert (answer.headers["X-Request-ID"] == sent) is kept
            assert re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", answer.headers["X-Request-ID"])
            if path != "/health/live":  # which is not logged
                Logged.of(stack.proxy, answer.headers["X-Request-ID"])


class TestWaiting:
    def test_readers_of_events_may_wait(self, stack: Stack) -> None:
        answer = stack.gateway.ask("GET", "/api/v1/events?after=0&wait=1")
        assert (answer.status_code, answer.json()["items"]) == (200, [])

    def test_an_answer_that_does_not_come_is_a_problem(self, stack: Stack) -> None:
        answer = stack.impatient.gateway.ask("GET", "/api/v1/events?after=0&wait=3")
        assert (answer.status_code, problem_of(answer)) == (504, "gateway_timeout")


def test_uploads_and_exports_of_one_address_are_few(stack: Stack) -> None:
    with contextlib.ExitStack() as opened:
        senders = _Senders(stack.gateway, opened, 4)
        _until(senders.hold_all_places, senders)
        refused = stack.gateway.ask("POST", IMPORTS, headers=CSV)
        assert (problem_of(refused), refused.headers["Retry-After"]) == ("too_many_connections", "1")
        assert stack.gateway.ask("GET", IMPORTS).ok, "others are served, the list of imports too"


class _Senders:
    """Clients in the middle of sending a file. One that gets an answer, as on a busy machine it may, begins again."""

    def __init__(self, gateway: Gateway, opened: contextlib.ExitStack, number: int) -> None:
        self._gateway = gateway
        self._opened = opened
        self._sending = [self._one() for _ in range(number)]
        self._answers: list[bytes] = []

    def __str__(self) -> str:
        return f"all places are held; answers were {self._answers}"

    def hold_all_places(self) -> bool:
        for place, sender in enumerate(self._sending):
            if select.select([sender], [], [], 0)[0]:
                self._answers.append(sender.recv(4096))
                self._sending[place] = self._one()
        return self._gateway.ask("POST", IMPORTS, headers=CSV).status_code == 503

    def _one(self) -> socket.socket:
        head = f"POST {IMPORTS} HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 100000"
        return self._opened.enter_context(self._gateway.raw(head, b"CUST_ID\n"))


@dataclass(frozen=True)
class Logged:
    """A line of the proxy's access log, by its request id."""

    line: dict[str, Any]

    @classmethod
    def of(cls, proxy: Proxy, request_id: str) -> Logged:
        """Wait for the line of a request."""
        _until(lambda: f'"{request_id}"' in proxy.log, "the request is logged")
        (line,) = [line for line in proxy.log.splitlines() if f'"{request_id}"' in line]
        return cls(json.loads(line))


class TestLog:
    def test_names_routes_as_the_gateway_does_and_nobody(self, stack: Stack) -> None:
        with requests.Session() as session:
            for number, rule in enumerate(sorted({rule.rule for rule in FakeGateway().app.url_map.iter_rules()})):
                template = re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule).replace("{cust_id}", "{CUST_ID}")
                address = re.sub(r"<[^>]+>", "SECRET-1", rule)
                name = f"route-{number}"
                session.get(
                    f"{stack.gateway.base}{address}?CUST_ID=SECRET-2",
                    headers={"X-Request-ID": name, "Authorization": "Bearer SECRET-3"},
                    timeout=20,
                )
                if not rule.startswith("/health/"):
                    assert Logged.of(stack.proxy, name).line["route"] == template
        assert "SECRET" not in stack.proxy.log

    @pytest.mark.parametrize(
        "address",
        ["/api/v1/customer/SECRET-1", "//api/v1/customers/SECRET-1", "/api/v1/%63ustomers/SECRET-1", "/SECRET-1",
         "/api/v1/customers/x/SECRET-1", "/api/v1/customers/SECRET-1/segment/", "/api/v1/SECRET-1"],
    )  # fmt: skip
    def test_says_nothing_of_other_addresses(self, stack: Stack, address: str) -> None:
        name = f"other-{abs(hash(address))}"
        with stack.gateway.raw(f"GET {address}?x=SECRET HTTP/1.1\r\nX-Request-ID: {name}") as connection:
            _status(connection)
        assert Logged.of(stack.proxy, name).line["route"] in ("{unknown}", "/api/v1/customers/{CUST_ID}")
        assert "SECRET" not in stack.proxy.log

    def test_says_of_each_request_what_became_of_it(self, stack: Stack) -> None:
        stack.gateway.ask("GET", f"{CUSTOMERS}/NOBODY", headers={"X-Request-ID": "told"})
        line = Logged.of(stack.proxy, "told").line
        assert {name: line[name] for name in ("level", "method", "status", "upstream_status", "refused_address")} == {
            "level": "INFO", "method": "GET", "status": 404, "upstream_status": "404", "refused_address": "",
        }  # fmt: skip
        assert line["duration_ms"] >= 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", line["time"])
        stack.gateway.ask("GET", "/metrics", headers={"X-Request-ID": "refused"})
        assert Logged.of(stack.proxy, "refused").line["refused_address"] == "127.0.0.1"


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "//metrics", "/x/../metrics", "/metrics?x=1"])
def test_metrics_are_not_to_be_had(stack: Stack, path: str) -> None:
    with stack.gateway.raw(f"GET {path} HTTP/1.1") as connection:
        assert _status(connection) == 404


def _gateway_at(port: int) -> Gateway:
    return Gateway(port, "csk_none", True, None)  # type: ignore[arg-type]  # it is somebody else's process


def _said(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    return True


class TestConnections:
    def test_to_the_gateway_are_used_again(self, tmp_path: Path) -> None:
        with (
            serving(_said) as server,
            running_proxy(_gateway_at(int(server.url.rpartition(":")[2])), tmp_path) as proxy,
        ):
            for _ in range(20):
                assert proxy.gateway.ask("GET", "/health/live").ok
            assert len(server.requests) == 20
            assert server.connections <= 2, "one of each of nginx's two processes"
            seen = server.requests[0].headers
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert seen["x-forwarded-proto"] == "http"
        assert "expect" not in seen

    def test_end_when_the_client_hangs_up(self, tmp_path: Path) -> None:
        gone = threading.Event()

        def wait(_: ScriptedServer, connection: socket.socket, __: Request) -> bool:
            if connection.recv(1) == b"":
                gone.set()
            return False

        with (
            serving(wait) as server,
            running_proxy(_gateway_at(int(server.url.rpartition(":")[2])), tmp_path) as proxy,
        ):
            with proxy.gateway.raw("GET /api/v1/events?wait=30 HTTP/1.1"):
                _until(lambda: server.requests, "the gateway is asked")
            assert gone.wait(START_SECONDS), "the gateway hears that nobody waits any more"

    @pytest.mark.parametrize("size", [10, 10_000_000])
    def test_that_break_off_within_an_answer_break_off_for_the_client(self, tmp_path: Path, size: int) -> None:
        def half(_: ScriptedServer, connection: socket.socket, __: Request) -> bool:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size + b"x" * size + b"\r\n"
            )
            return False

        with (
            serving(half) as server,
            running_proxy(_gateway_at(int(server.url.rpartition(":")[2])), tmp_path) as proxy,
            pytest.raises(requests.exceptions.ChunkedEncodingError),
        ):
            proxy.gateway.ask("GET", EXPORT)

    def test_while_the_gateway_is_away_there_is_a_problem(self, tmp_path: Path) -> None:
        with running_proxy(_gateway_at(free_port()), tmp_path) as proxy:
            for method, path in (("GET", CUSTOMERS), ("PUT", f"{CUSTOMERS}/A"), ("POST", IMPORTS)):
                answer = proxy.gateway.ask(method, path, json={})
                assert (answer.status_code, problem_of(answer)) == (502, "gateway_unavailable")
                assert answer.headers["Retry-After"] == "1"

    @pytest.mark.parametrize(
        ("said", "status", "code", "retry_after"),
        [
            ("401 No\r\nWWW-Authenticate: Bearer", 401, "unauthenticated", None),
            ("403 No", 403, "insufficient_scope", None),
            ("429 No\r\nRetry-After: 7", 429, "rate_limited", "7"),
            ("503 No\r\nRetry-After: 1", 503, "unavailable", "1"),
            ("504 No", 504, "gateway_timeout", None),
            ("500 No", 500, "internal_error", None),
        ],
    )
    def test_take_no_file_that_the_gateway_refuses(
        self, tmp_path: Path, said: str, status: int, code: str, retry_after: str | None
    ) -> None:
        def refuse(_: ScriptedServer, connection: socket.socket, __: Request) -> bool:
            connection.sendall(f"HTTP/1.1 {said}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            return True

        with (
            serving(refuse) as server,
            running_proxy(_gateway_at(int(server.url.rpartition(":")[2])), tmp_path) as proxy,
        ):
            answer = proxy.gateway.ask("POST", IMPORTS, data=BIG, headers=CSV)
            assert (answer.status_code, problem_of(answer)) == (status, code)
            assert answer.headers.get("Retry-After") == retry_after
            assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
            (asked,) = server.requests
        assert (asked.method, asked.path, asked.body) == ("GET", IMPORTS, b"")
        assert "content-type" not in asked.headers


class TestTLS:
    def test_is_spoken_where_there_are_a_certificate_and_its_key(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        pair = authority.pair("proxy")
        (tmp_path / "tls").mkdir()
        pair.cert.rename(tmp_path / "tls" / "tls.crt")
        pair.key.rename(tmp_path / "tls" / "tls.key")
        with (
            serving(_said) as server,
            running_proxy(_gateway_at(int(server.url.rpartition(":")[2])), tmp_path, PROXY_ADDRESS="0.0.0.0") as proxy,
        ):
            port = proxy.gateway.port
            assert requests.get(f"https://127.0.0.1:{port}/", verify=str(authority.cert), timeout=20).ok
            assert server.requests[0].headers["x-forwarded-proto"] == "https"
            plain = requests.get(f"http://127.0.0.1:{port}/docs?x=1", timeout=20, allow_redirects=False)
            assert (plain.status_code, plain.headers["Location"]) == (308, f"https://127.0.0.1:{port}/docs?x=1")
            refused = proxy.gateway.ask("GET", CUSTOMERS)
            assert (refused.status_code, problem_of(refused)) == (421, "tls_required")
            assert len(server.requests) == 1

    @pytest.mark.parametrize(("file", "address"), [(None, "0.0.0.0"), (None, "203.0.113.7"), ("tls.crt", "127.0.0.1")])
    def test_is_not_left_out_by_mistake(self, tmp_path: Path, file: str | None, address: str) -> None:
        (tmp_path / "tls").mkdir()
        if file:
            (tmp_path / "tls" / file).write_text("half of it")
        process = command(tmp_path, PROXY_ADDRESS=address, PROXY_PORT=free_port())
        assert process.wait(20) == 1
        assert "tls.key" in (tmp_path / "log").read_text()
