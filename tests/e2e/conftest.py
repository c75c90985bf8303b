"""The whole system as processes, the way it is deployed: mongod, both tiers under gunicorn, the worker."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from fakes.changes import recorder
from fakes.deletions import InMemoryTransactions
from flask import Flask
from support.servers import Mongod, free_port

from gateway.data_access.mongo.access.api_keys import MongoKeyStore
from gateway.services.access.api_keys import ApiKeyService
from gateway.services.principal import COMMAND_LINE, Scope
from gateway.settings import Settings
from gateway.stores import connect
from model_service.store.registry import ModelStore
from model_service.store.signatures import Signer
from model_service.store.upkeep import sign_anew
from shared.secret_rules import MODEL_SIGNING_KEY_IN_DEVELOPMENT
from tests.conftest import ROOT

SIGNING_KEY = "t5Yw9KcRn2VbXq7MzLs4HgJd8PfEu6Ta"
MODEL = [sys.executable, "-m", "gunicorn", "-c", "python:model_service.gunicorn_conf", "model_service.app:create_app()"]
UVICORN = [sys.executable, "-m", "model_service", "serve"]
WORKER = [sys.executable, "-m", "gateway", "worker"]
GRANIAN = [sys.executable, "-m", "gateway", "serve"]


def gunicorn(port: int) -> list[str]:
    """The gateway under gunicorn, as docs/operations.md documents it."""
    options = ["-c", "python:gateway.gunicorn_conf", "--bind", f"127.0.0.1:{port}", "--workers", "2"]
    return [sys.executable, "-m", "gunicorn", *options, "gateway.app:create_app()"]


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def administrator_key(uri: str) -> str:
    """Make an API key that may do everything, as ``python -m gateway keys create`` does."""
    database = connect(Flask("e2e"), Settings(mongodb_uri=uri))
    keys = ApiKeyService(MongoKeyStore(database["api_keys"]), lambda _: None, InMemoryTransactions(), recorder())
    key = keys.create("end to end", [Scope.ADMIN], COMMAND_LINE)["key"]
    database.client.close()
    return key


class System:
    """Starts, kills, pauses and stops the processes of one test; their output is kept in files."""

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str],
        gateway_port: int,
        model_port: int,
        code: Path = ROOT,
        key: str | None = None,
    ) -> None:
        self._folder = folder
        self._code = code
        self.env = {**os.environ, **env}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.base = f"http://127.0.0.1:{gateway_port}"
        self.model_base = f"http://127.0.0.1:{model_port}"
        self.gateway_port = gateway_port
        self.key = key or administrator_key(env["MONGODB_URI"])
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {self.key}"

    def start(self, name: str, command: list[str]) -> None:
        log = (self._folder / f"{name}.log").open("ab")
        self._processes[name] = subprocess.Popen(
            command, cwd=self._code, env=self.env, stdout=log, stderr=log, start_new_session=True
        )
        log.close()

    def start_model(self, command: list[str] = MODEL) -> None:
        self.start("model", command)
        wait_until(lambda: self._answers(f"{self.model_base}/health/ready"), "model service ready")

    def start_gateway(self, command: list[str] | None = None) -> None:
        self.start("gateway", command or gunicorn(self.gateway_port))
        wait_until(lambda: self._answers(f"{self.base}/health/ready"), "gateway ready")

    def start_worker(self) -> None:
        self.start("worker", WORKER)

    def signal(self, name: str, number: int) -> None:
        """Signal every process of the group, gunicorn's workers included."""
        os.killpg(self._processes[name].pid, number)

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)
        self._processes.pop(name).wait()

    def terminate(self, name: str) -> None:
        process = self._processes.pop(name)
        process.terminate()
        assert process.wait(20) == 0

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def run(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(command, cwd=self._code, env=self.env, capture_output=True, text=True, timeout=seconds)

    def stop(self) -> None:
        """Stop what still runs. Tests of stopping in order do it themselves, with `terminate`."""
        self.http.close()
        for name, process in self._processes.items():
            self.signal(name, signal.SIGCONT)
            process.terminate()
        for name, process in self._processes.items():
            try:
                process.wait(0.5)  # gunicorn would wait some seconds for idle connections
            except subprocess.TimeoutExpired:
                self.signal(name, signal.SIGKILL)
                process.wait()

    def _answers(self, url: str) -> bool:
        try:
            return self.http.get(url, timeout=2).ok
        except requests.RequestException:
            return False

    # What a CRM does -------------------------------------------------------------------------------------------
    def create(self, customer: Mapping[str, object]) -> requests.Response:
        return self.http.post(f"{self.base}/api/v1/customers", json=customer, timeout=10)

    def customers(self) -> Iterator[dict]:
        cursor: dict[str, str] = {}
        while True:
            answer = self.http.get(f"{self.base}/api/v1/customers", params={"limit": "500", **cursor}, timeout=10)
            page = answer.json()
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def counted(self, customers: int) -> dict:
        """Return the segments once the worker, which must be there, has counted so many customers."""
        found: dict = {}

        def done() -> bool:
            answer = self.http.get(f"{self.base}/api/v1/segments", timeout=10)
            found.update(answer.json())
            return answer.ok and (found["customers"], found["state"]) == (customers, "fresh")

        wait_until(done, f"{customers} customers counted")
        return found

    def pending(self) -> int:
        query = {"segment_status": "pending", "count": "exact", "limit": "1"}
        return int(self.http.get(f"{self.base}/api/v1/customers", params=query, timeout=10).json()["total"])


@pytest.fixture
def system(tmp_path: Path, mongod: Mongod, sample_models: Path) -> Iterator[System]:
    """A system with a database and a model store of its own; the test starts what it needs."""
    with own_system(tmp_path, mongod, sample_models) as system:
        yield system


@contextmanager
def own_system(folder: Path, mongod: Mongod, sample_models: Path) -> Iterator[System]:
    """Give a system whose files are in the folder, and stop afterwards what runs of it."""
    shutil.copytree(sample_models, folder / "models")
    gateway_port, model_port = free_port(), free_port()
    env = {
        "MONGODB_URI": mongod.uri(f"e2e_{folder.name}"[:60]),
        "MODEL_SERVICE_URL": f"http://127.0.0.1:{model_port}",
        "MODEL_PORT": str(model_port),
        "MODEL_STORE": str(folder / "models"),
        "GATEWAY_PORT": str(gateway_port),
        "WORKER_INTERVAL": "0.2",
        "DEPLOYMENT": "production",
        "GATEWAY_SECRET_KEY": "dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5Ae",
        "MODEL_SERVICE_SECRET": "v7Tq2LmXe9RkWb4YzNc6HdJs8PfGu3Ao",
        "MODEL_SIGNING_KEY": SIGNING_KEY,
    }
    sign_anew(ModelStore(folder / "models", Signer(SIGNING_KEY, MODEL_SIGNING_KEY_IN_DEVELOPMENT)))
    system = System(folder, env, gateway_port, model_port)
    try:
        yield system
    finally:
        system.stop()
