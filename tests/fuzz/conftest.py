"""Services to be tried, as processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from support.customers import body
from support.servers import free_port, running_mongod

from model_service.store.registry import ModelStore
from model_service.training.dataset import read_customers
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train_version
from tests.unit.model_service.model_customers import TINY_K, tiny_customers

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0


@contextlib.contextmanager
def running(command: list[str], ready: str, log: Path, **environment: str) -> Iterator[None]:
    """Run a service until it is no longer needed; its log is shown if it does not start."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            # Metrics need no key from loopback in development, and the document says that they do from elsewhere.
            env={**os.environ, "LOG_LEVEL": "WARNING", "METRICS_NETWORKS": "192.0.2.0/32", **environment},
            stdout=output,
            stderr=output,
        )
    try:
        give_up_at = time.monotonic() + START_SECONDS
        while not _ready(ready):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _ready(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="session")
def model_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tier 2 with two tiny versions, of which the second is active."""
    folder = tmp_path_factory.mktemp("tier2")
    tiny_customers().to_csv(folder / "customers.csv", index=False)
    store, data = ModelStore(folder / "models"), read_customers(folder / "customers.csv")
    for _ in range(2):
        version = train_version(store, data, Options(ks=(TINY_K,)), NoProgress())["version"]
        store.activate(version, "to be tried", "test", force=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {"MODEL_STORE": str(store.directory), "MODEL_PORT": str(port)}
    with running(["model_service", "serve"], f"{address}/health/ready", folder / "log", **settings):
        yield address


@dataclass(frozen=True)
class Gateway:
    """The address of a running gateway, and an administrator's key."""

    address: str
    key: str


@pytest.fixture(scope="session")
def gateway(model_service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway on a MongoDB and a tier 2 of its own, with some customers."""
    folder, port = tmp_path_factory.mktemp("tier1"), free_port()
    address = f"http://127.0.0.1:{port}"
    with running_mongod() as mongod:
        settings = {
            "MONGODB_URI": mongod.uri("fuzz"),
            "MODEL_SERVICE_URL": model_service,
            "GATEWAY_PORT": str(port),
            "RATE_LIMIT": "1000000 per minute",
            "RATE_LIMIT_BULK": "1000000 per minute",
            "RATE_LIMIT_ANONYMOUS": "1000000 per minute",
        }
        create = [sys.executable, "-m", "gateway", "keys", "create", "--name", "fuzz", "--scope", "admin"]
        made = subprocess.run(create, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        ready = f"{address}/health/ready"
        with (
            running(["gateway", "serve"], ready, folder / "log", **settings),
            running(["gateway", "worker"], ready, folder / "worker.log", **settings),
        ):
            client = requests.Session()
            client.headers["Authorization"] = f"Bearer {made.stdout.strip()}"
            for number in range(5):
                address_of_one = f"{address}/api/v1/customers/FUZZ{number}"
                client.put(address_of_one, json=body(f"FUZZ{number}"), timeout=30).raise_for_status()
            give_up_at = time.monotonic() + START_SECONDS
            while client.get(f"{address}/api/v1/segments", timeout=5).status_code == 503:  # the worker has not counted
                assert time.monotonic() < give_up_at, (folder / "worker.log").read_text()
                time.sleep(0.05)
            yield Gateway(address, made.stdout.strip())
