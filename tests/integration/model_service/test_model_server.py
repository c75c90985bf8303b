"""The service as a process, under both servers: settings, signals, following activations."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
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
from support.servers import free_port

from model_service.store.artefact import MODEL_FILE
from model_service.store.registry import ModelStore
from model_service.training.dataset import read_customers
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


def test_a_refusal_reaches_a_client_that_is_still_sending(server):
    blocks = [b'{"columns": {}}\n' * 10_000] * 4
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with contextlib.closing(connection):
            headers = {"content-type": "application/x-ndjson", "connection": "close", **KEY}
            connection.request("POST", f"{MODELS}/20200101T000000Z-00000000/drift", iter(blocks), headers)
            assert connection.getresponse().status == 404


def test_every_line_about_a_request_has_its_id(server):
    server.request("GET", ACTIVE_MODEL, b"", **{"x-request-id": "find-me"})
    give_up_at = time.monotonic() + 5
    while (text := server.log.read_text()) and "find-me" not in text and time.monotonic() < give_up_at:
        time.sleep(0.02)
    assert f"[find-me] GET {ACTIVE_MODEL} 200 " in text


def test_activations_are_followed_by_every_worker_without_a_failed_request(server, store, customers):
    first = store.active.read()["version"]
    second = store.save(joblib.load(store.directory / first / MODEL_FILE), store.manifest(first))
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
