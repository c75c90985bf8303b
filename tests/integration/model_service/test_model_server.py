"""The service as a process, under both servers: settings, signals, following activations."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.servers import free_port

from model_service.store.artefact import MODEL_FILE
from model_service.store.registry import ModelStore
from model_service.training.dataset import read_customers
from model_service.training.fitted import save
from shared.contract import ACTIVE_MODEL, PREDICT, PREDICT_BATCH
from shared.features import INPUTS
from shared.model_contract import MODELS
from shared.secret_rules import MODEL_SERVICE_SECRET_IN_DEVELOPMENT

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60
KEY = {"authorization": f"Bearer {MODEL_SERVICE_SECRET_IN_DEVELOPMENT}"}
SERVERS = {
    "uvicorn": ["model_service", "serve"],
    "gunicorn": ["gunicorn", "-c", "python:model_service.gunicorn_conf", "model_service.app:create_app()"],
}


class Server:
    """A running model service."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"content-type": "application/json", **KEY, **headers})
            answer = connection.getresponse()
            return answer, answer.read()

    def json(self, method: str, path: str, value: Any = None) -> Any:
        answer, body = self.request(method, path, json.dumps(value).encode() if value is not None else b"")
        assert answer.status == 200, body
        return json.loads(body)

    def wait_until_ready(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError):
                if self.request("GET", "/health/live")[0].status == 200:
                    return
            time.sleep(0.05)
        pytest.fail(self.log.read_text())


@contextlib.contextmanager
def running(store: Path, log: Path, server: str = "uvicorn", **environment: str) -> Iterator[Server]:
    port = free_port()
    env = {**os.environ, "MODEL_STORE": str(store), "MODEL_PORT": str(port), **environment}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *SERVERS[server]], cwd=ROOT, env=env, stdout=output, stderr=output, text=True
        )
    service = Server(process, port, log)
    try:
        service.wait_until_ready()
        yield service
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def customers(sample_csv) -> list[dict[str, Any]]:
    frame = read_customers(sample_csv).frame[[f.name for f in INPUTS]].head(200)
    return json.loads(frame.to_json(orient="records"))


@pytest.fixture(scope="module")
def store(sample_store) -> ModelStore:
    return sample_store


@pytest.fixture(scope="module", params=SERVERS)
def server(request, store, tmp_path_factory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o500)
    log = tmp_path_factory.mktemp("log") / "server.log"
    with running(
        store.directory, log, request.param, HOME=str(home), MODEL_POLL_SECONDS="0.2", MODEL_WORKERS="2"
    ) as server:
        yield server
        assert list(home.iterdir()) == [], "a read-only home is enough"


def test_it_predicts(server, customers):
    one = server.json("POST", PREDICT, customers[0])
    batch = server.json("POST", PREDICT_BATCH, {"customers": customers})["predictions"]
    assert batch[0] == one
    columns = {name: [c[name] for c in customers] for name in customers[0]}
    columnar = server.json("POST", PREDICT_BATCH, {"columns": columns})
    assert columnar["cluster"] == [p["cluster"] for p in batch]


@pytest.mark.parametrize(("method", "path"), [("POST", PREDICT), ("GET", "/nope"), ("PUT", PREDICT)])
def test_no_answer_says_what_serves_it(server, method, path):
    answer, _ = server.request(method, path, b"{")
    assert answer.getheader("server") is None
    assert answer.getheader("content-type") == "application/problem+json"
    assert answer.getheader("x-request-id")


def test_idle_connections_are_kept_for_longer_than_a_few_seconds(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        for pause in (0, 3):
            time.sleep(pause)
            connection.request("GET", "/health/live")
            assert connection.getresponse().read() == b'{"status":"live"}'


def test_a_chunked_body_is_counted(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = [f"POST {PREDICT} HTTP/1.1", "host: x", "content-type: application/json", "transfer-encoding: chunked"]
        head.append(f"authorization: Bearer {MODEL_SERVICE_SECRET_IN_DEVELOPMENT}")
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                connection.sendall(chunk)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


OFFERS = {
    "h2c": "upgrade: h2c\r\nconnection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
    "websocket": "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n",
    "tls": "connection: upgrade\r\nupgrade: TLS/1.3, h2c\r\n",
}


def _exchange(server: Server, *pieces: bytes) -> list[bytes]:
    """Send the pieces one after the other over a connection; return what comes until it is closed, by status line."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02)
        text = b""
        while piece := connection.recv(65536):
            text += piece
    return re.split(rb"HTTP/1\.1 (?=[0-9]{3} )", text)[1:]


def _post(path: str, body: bytes, *headers: str, chunked: bool = False) -> tuple[bytes, bytes]:
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", framing, *headers]
    lines.append(f"authorization: {KEY['authorization']}")
    content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return "\r\n".join([*(line.rstrip() for line in lines), "", ""]).encode(), content


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_to_upgrade_is_passed_over(server, customers, offer, chunked):
    body = json.dumps(customers[0]).encode()
    head, content = _post(PREDICT, body, OFFERS[offer], chunked=chunked)
    last, _ = _post("/health/live", b"", "connection: close")
    last = last.replace(b"POST", b"GET")
    whole = _exchange(server, head + content + last)  # pipelined behind it
    in_pieces = _exchange(server, head, content[:40], content[40:], last)
    for predicted, live in (whole, in_pieces):
        assert predicted.startswith(b"200 "), predicted
        assert json.loads(predicted.split(b"\r\n\r\n")[1])["segment"]["id"].startswith("seg-")
        assert live.endswith(b'{"status":"live"}')


def test_nothing_can_be_connected_to(server):
    (answer,) = _exchange(server, b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert answer[:3] in (b"400", b"401", b"404")
    assert b"application/problem+json" in answer


REFUSED = [
    (401, PREDICT, {"authorization": "Bearer no"}),
    (415, PREDICT, {"content-type": "text/plain"}),
    (404, "/nowhere", {}),
    (405, ACTIVE_MODEL, {}),
    (413, ACTIVE_MODEL.replace("active", "rollback"), {}),
    (415, MODELS, {}),
    (404, f"{MODELS}/20200101T000000Z-00000000/drift", {"content-type": "application/x-ndjson"}),
]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize(("status", "path", "headers"), REFUSED)
def test_a_refusal_reaches_a_client_that_sends_everything_before_it_reads(
    server, status, path, headers, connection, framing
):
    block = b'{"columns": {}}\n' * 62_500
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    sent = {"content-type": "application/json", "connection": connection, **KEY, **headers}
    with contextlib.closing(client):
        client.request("POST", path, 5 * block if framing == "length" else iter([block] * 5), sent)
        answer = client.getresponse()
        assert answer.status == status
        assert json.loads(answer.read())["status"] == status


def test_a_refusal_does_not_wait_for_the_body(server):
    for more in ([], ["expect: 100-continue"]):
        head, _ = _post(PREDICT, b" " * 500, "connection: close", *more)
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head.replace(b"Bearer ", b"Bearer x"))
            assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("host", ["", "host: a\r\nhost: b\r\n", "host: \r\n", "host: a b\r\n", "host: a/b\r\n"])
def test_a_request_names_one_host(server, host):
    head = f"GET /health/live HTTP/1.1\r\n{host}connection: close\r\n\r\n"
    (answer,) = _exchange(server, head.encode())
    assert answer.startswith(b"400 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GARBAGE", 400), ("GET / HTTP/9.9", 400), ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2", 400)],
)
def test_what_the_server_itself_refuses_is_a_problem(server, request_line, status):
    (answer,) = _exchange(server, f"{request_line}\r\nhost: x\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert b"application/problem+json" in head
    assert (problem["status"], problem["code"]) == (status, "bad_request")
    assert f"x-request-id: {problem['request_id']}".encode() in head.lower()


def test_every_line_about_a_request_has_its_id(server):
    server.request("GET", ACTIVE_MODEL, b"", **{"x-request-id": "find-me"})
    give_up_at = time.monotonic() + 30
    while (text := server.log.read_text()) and "find-me" not in text and time.monotonic() < give_up_at:
        time.sleep(0.02)
    assert f"[find-me] model_service.access: GET {ACTIVE_MODEL} 200 " in text


def test_activations_are_followed_by_every_worker_without_a_failed_request(server, store, customers):
    first = store.active.read()["version"]
    second = save(store, joblib.load(store.directory / first / MODEL_FILE), store.manifest(first))
    stop, failures = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            answer, body = server.request("POST", PREDICT, json.dumps(customers[0]).encode())
            if answer.status != 200 or json.loads(body)["model_version"] not in (first, second):
                failures.append(body)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in (second, first, second):
            store.activate(version)
            time.sleep(2)
            # New connections, so that both workers are asked.
            assert {server.json("POST", PREDICT, customers[0])["model_version"] for _ in range(20)} == {version}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_it_starts_without_a_model_and_takes_the_first_one_trained(store, tmp_path, customers):
    late = tmp_path / "late"
    with running(late, tmp_path / "server.log", MODEL_POLL_SECONDS="0.1") as server:
        assert server.request("GET", "/health/ready")[0].status == 503
        store.directory.rename(late)
        try:
            give_up_at = time.monotonic() + 20
            while server.request("GET", "/health/ready")[0].status != 200:
                assert time.monotonic() < give_up_at
                time.sleep(0.05)
            assert server.json("POST", PREDICT, customers[0])["segment"]["id"].startswith("seg-")
        finally:
            late.rename(store.directory)


@pytest.mark.parametrize("name", SERVERS)
def test_it_stops_in_order_when_told(store, tmp_path, name):
    with running(store.directory, tmp_path / "server.log", name) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("name", SERVERS)
def test_workers_end_with_a_master_that_is_killed(store, tmp_path, name):
    with running(store.directory, tmp_path / "server.log", name, MODEL_WORKERS="2") as server:
        server.process.kill()
        give_up_at = time.monotonic() + START_SECONDS
        with contextlib.suppress(ConnectionRefusedError):
            while time.monotonic() < give_up_at:
                socket.create_connection(("127.0.0.1", server.port), timeout=20).close()
                time.sleep(0.05)
            pytest.fail("somebody still listens")


def test_a_wrong_setting_ends_it_with_one_clear_line(tmp_path):
    command = [sys.executable, "-m", "model_service", "serve"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "MODEL_PORT": "http"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: MODEL_PORT: ")
    assert len(done.stderr.splitlines()) == 1


SERVING_IMPORTS = """
import sys
from model_service.app import create_app
from model_service.active_model import ActiveModel
from model_service.store.registry import ModelStore
from pathlib import Path
create_app()
ActiveModel(ModelStore(Path(sys.argv[1]))).refresh()
print([name for name in ("matplotlib", "seaborn", "model_service.training") if name in sys.modules])
"""


def test_serving_loads_no_training_and_no_charts(store):
    done = subprocess.run(
        [sys.executable, "-c", SERVING_IMPORTS, str(store.directory)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_metrics_are_those_of_all_processes(server: Server, customers: list[dict[str, Any]]) -> None:
    def read() -> tuple[float, set[str]]:
        answer, text = server.request("GET", "/metrics", authorization="")  # from loopback, in development
        assert answer.status == 200
        samples = [each for family in text_string_to_metric_families(text.decode()) for each in family.samples]
        rows = [each.value for each in samples if each.name == "model_service_rows_scored_total"]
        return sum(rows), {each.labels["pid"] for each in samples if each.name == "process_threads"}

    before, _ = read()
    for customer in customers[:20]:  # over connections of their own, so that both processes get some
        server.json("POST", PREDICT, customer)
    after, processes = read()
    assert after == before + 20
    assert len(processes) >= 2
    assert server.request("GET", "/metrics", authorization="", **{"x-forwarded-for": "127.0.0.1"})[0].status == 401
