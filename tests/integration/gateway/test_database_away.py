"""MongoDB killed, gone, without a primary or not a replica set: clear answers, and nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, SEGMENTS, FakeGateway
from flask import Flask
from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from support.customers import body, inputs, stored
from support.problems import assert_problem
from support.servers import STOP_SECONDS, Mongod, free_port, running_mongod

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.development import mongod as development
from gateway.services.errors import StoreError
from gateway.settings import Settings
from gateway.stores import connect

REQUESTS = [
    ("GET", CUSTOMERS, None),
    ("GET", f"{CUSTOMERS}/C1", None),
    ("POST", CUSTOMERS, body("C9")),
    ("PUT", f"{CUSTOMERS}/C1", inputs(BALANCE=9.0)),
    ("PATCH", f"{CUSTOMERS}/C1", {"BALANCE": 9.0}),
    ("DELETE", f"{CUSTOMERS}/C1", None),
    ("GET", SEGMENTS, None),
    ("GET", "/health/ready", None),
]


@pytest.fixture(scope="module")
def own_mongod() -> Iterator[Mongod]:
    """A mongod that only the tests of this module use: they kill it."""
    with running_mongod() as server:
        yield server


@contextlib.contextmanager
def _gateway(uri: str, timeout: float = 30.0, **options: Any) -> Iterator[FakeGateway]:
    collection = connect(Flask("test"), Settings(mongodb_uri=uri, mongodb_timeout=timeout))["customers"]
    yield FakeGateway(store=MongoCustomerStore(collection, **options))
    collection.database.client.close()


@pytest.fixture
def uri(own_mongod: Mongod) -> str:
    """The address of a database of this test's own; it goes with the mongod."""
    return own_mongod.uri(f"test_{uuid.uuid4().hex}")


@pytest.fixture
def gateway(uri: str) -> Iterator[FakeGateway]:
    """The gateway on the mongod of this module."""
    with _gateway(uri) as gateway:
        yield gateway


def _assert_unavailable(uri: str, requests: Sequence[tuple[str, str, object]] = REQUESTS[:3]) -> None:
    """Assert that a gateway that waits for the database only for a moment answers each request with 503."""
    with _gateway(uri, timeout=0.2) as gateway:
        for method, path, sent in requests:
            _assert_answers_503(gateway, method, path, sent)
        assert gateway.client.get("/health/live").status_code == 200


def _assert_answers_503(gateway: FakeGateway, method: str, path: str, sent: object) -> None:
    answer = gateway.client.open(path, method=method, json=sent)
    while answer.status_code == 503 and answer.json["code"] == "segments_being_counted":  # nobody waits for that here
        answer = gateway.client.open(path, method=method, json=sent)
    assert_problem(answer, 503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_while_it_is_down_every_request_says_so_and_a_start_needs_no_database() -> None:
    _assert_unavailable(development.uri(free_port(), "test"), REQUESTS)


def test_an_acknowledged_write_survives_a_kill(gateway: FakeGateway, uri: str, own_mongod: Mongod) -> None:
    acknowledged = gateway.client.post(CUSTOMERS, json=body()).json
    changed = gateway.client.patch(f"{CUSTOMERS}/C1", json={"BALANCE": 7.0}).json
    with _gateway(uri, timeout=0.2) as impatient:
        assert impatient.client.get(f"{CUSTOMERS}/C1").status_code == 200
        own_mongod.kill()
        for request in REQUESTS[:3]:
            _assert_answers_503(impatient, *request)
    own_mongod.start()
    read = gateway.client.get(f"{CUSTOMERS}/C1")
    assert read.status_code == 200
    assert read.json | {"warnings": []} == changed
    assert changed["created_at"] == acknowledged["created_at"]


def test_without_a_primary(gateway: FakeGateway, uri: str, own_mongod: Mongod) -> None:
    gateway.client.post(CUSTOMERS, json=body())
    one_member = f"mongodb://127.0.0.1:{own_mongod.port}/test?directConnection=true"
    with MongoClient(one_member) as direct, _gateway(one_member) as gateway_to_one_member:
        assert gateway_to_one_member.client.get("/health/ready").status_code == 200
        with contextlib.suppress(AutoReconnect):  # some versions close the connection when they step down
            direct.admin.command("replSetStepDown", 600, force=True)
        _assert_unavailable(uri)
        _assert_answers_503(gateway_to_one_member, "GET", "/health/ready", None)
        direct.admin.command("replSetFreeze", 0)
    development.wait_for_primary(own_mongod.port)
    assert gateway.client.get(f"{CUSTOMERS}/C1").status_code == 200


@pytest.fixture(scope="module")
def standalone() -> Iterator[int]:
    """The port of a server that is no replica set."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        line = development.command(Path(folder), port)
        place = line.index("--replSet")
        process = subprocess.Popen([*line[:place], *line[place + 2 :]])
        try:
            with MongoClient("127.0.0.1", port, directConnection=True) as direct:
                direct.admin.command("ping")
            yield port
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def test_a_server_that_is_no_replica_set(standalone: int) -> None:
    _assert_unavailable(development.uri(standalone, "test"))
    with _gateway(f"mongodb://127.0.0.1:{standalone}/test") as gateway:
        answer = gateway.client.get("/health/ready")
        assert_problem(answer, 503, "store_unavailable")
        assert "rs.initiate()" in answer.json["detail"]


@pytest.mark.parametrize("named", ["?replicaSet=rs0", ""], ids=["named", "not named"])
@pytest.mark.parametrize(
    "command",
    [
        ["gateway", "serve"],
        ["gateway", "worker"],
        ["gateway", "keys", "list"],
        ["gateway", "import", __file__],
        ["gunicorn", "-c", "python:gateway.gunicorn_conf", "gateway.app:create_app()"],
    ],
    ids=["serve", "worker", "keys", "import", "gunicorn"],
)
def test_nothing_starts_on_a_server_that_is_no_replica_set(standalone: int, command: list[str], named: str) -> None:
    uri = f"mongodb://127.0.0.1:{standalone}/test{named}"
    env = {**os.environ, "MONGODB_URI": uri, "GATEWAY_PORT": str(free_port()), "DEPLOYMENT": "development"}
    done = subprocess.run([sys.executable, "-m", *command], env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "One node is enough: start mongod with --replSet rs0, call rs.initiate() once" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_transaction_on_a_server_that_is_no_replica_set_says_what_is_missing(standalone: int) -> None:
    with MongoClient(f"mongodb://127.0.0.1:{standalone}") as client:
        transactions = MongoTransactions(client["test"], 5.0)
        store = MongoCustomerStore(client["test"]["customers"])
        with pytest.raises(StoreError, match="replica set"):
            transactions.run(lambda: store.insert(stored("A")))
        assert store.get("A") is None


def test_a_restart_between_two_requests_goes_unnoticed(gateway: FakeGateway, own_mongod: Mongod) -> None:
    gateway.client.put(f"{CUSTOMERS}/C1", json=inputs())
    own_mongod.stop()
    own_mongod.start()
    assert gateway.client.patch(f"{CUSTOMERS}/C1", json={"BALANCE": 9.0}).status_code == 200


def test_while_it_hangs_a_customer_that_is_scored_anew_waits_no_longer_than_others(
    uri: str, own_mongod: Mongod
) -> None:
    """Its segment was once written as those of many are, with the time for many."""
    with _gateway(uri, timeout=0.5, bulk_deadline=10 * STOP_SECONDS) as gateway, ThreadPoolExecutor(1) as pool:
        assert gateway.client.post(CUSTOMERS, json=body()).status_code == 201
        gateway.model.meanwhile = lambda: os.kill(own_mongod.process.pid, signal.SIGSTOP)
        answer = pool.submit(gateway.client.post, f"{CUSTOMERS}/C1/segment")
        try:
            assert_problem(answer.result(STOP_SECONDS), 503, "store_unavailable")
        finally:
            os.kill(own_mongod.process.pid, signal.SIGCONT)


def test_while_it_hangs_every_request_ends_within_the_time_limit(uri: str, own_mongod: Mongod) -> None:
    """A stopped process keeps its connections: only a limit on the whole operation ends the wait."""
    with _gateway(uri, timeout=1.0) as gateway:
        assert gateway.client.post(CUSTOMERS, json=body()).status_code == 201
        os.kill(own_mongod.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, own_mongod.process.pid, os.WSTOPPED)  # its threads may run on for a moment
        try:
            began = time.monotonic()
            for request in REQUESTS[:3]:
                _assert_answers_503(gateway, *request)
            # A second or two each; without the limit each took 20.
            assert time.monotonic() - began < 10
        finally:
            os.kill(own_mongod.process.pid, signal.SIGCONT)
        give_up_at = time.monotonic() + STOP_SECONDS
        while gateway.client.get(f"{CUSTOMERS}/C1").status_code != 200:  # it looks for the database every half second
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
