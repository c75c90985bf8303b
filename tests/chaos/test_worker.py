"""One of two workers is killed or paused: the other one carries on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.registry import OLD
from pymongo import MongoClient
from support.scripted_server import serving
from support.served_model import SwitchedModel, SwitchedRegistry, serving_both
from support.servers import Mongod
from support.under_fire import Fire, Row
from support.whole_system import whole_system

from tests.e2e.conftest import WORKER, System, wait_until

LONGEST = 12.0
GIVEN_UP = 1.5 * 15.0 + 15.0
"""Seconds after which what was written is in the log though a worker is gone within a transaction of the relay.

MongoDB gives up a transaction whose client is silent after 15 s (`gateway.development.mongod`); it looks for them every
7.5 s. The rest is for a busy machine.
"""
Table = Callable[[Row], None]


@pytest.fixture
def system(mongod: Mongod, tmp_path: Path) -> Iterator[System]:
    registry = SwitchedRegistry()
    with (
        serving(serving_both(SwitchedModel(registry), registry)) as tier_2,
        whole_system(tmp_path, mongod.uri(f"chaos_{time.time_ns()}"), MODEL_SERVICE_URL=tier_2.url) as system,
    ):
        yield system


def _fire(system: System) -> Fire:
    return Fire(system.base, system.key, system.env["MONGODB_URI"], LONGEST)


def _relayed(system: System, seconds: float) -> float:
    """Wait until what is written now is in the change log; return how long that took."""
    begun = time.monotonic()
    written = system.http.post(
        f"{system.base}/api/v1/api-keys", json={"name": "relayed", "scopes": ["customers:read"]}, timeout=30
    )
    request_id = written.headers["X-Request-ID"]
    with MongoClient(system.env["MONGODB_URI"]) as client:
        log = client.get_default_database()["changes"]
        wait_until(lambda: log.find_one({"request_id": request_id}) is not None, "it is in the log", seconds)
    return time.monotonic() - begun


def test_killed(system: System, table: Table) -> None:
    fire = _fire(system)
    with fire.lit():
        with fire.fault():
            for name in ("worker 1", "worker 2"):
                system.kill(name)
                recovered = _relayed(system, GIVEN_UP)
                fire.acknowledged(10)
                system.start(name, WORKER)
        fire.acknowledged(30)
    fire.said_ready_all_along()
    fire.proved(active=OLD)
    table(fire.row("One of two workers killed", "`kill -9`, one after the other", recovered))


def test_paused(system: System, table: Table) -> None:
    fire = _fire(system)
    with fire.lit():
        with fire.fault():
            for name in ("worker 1", "worker 2"):
                system.signal(name, signal.SIGSTOP)
                recovered = _relayed(system, GIVEN_UP)
                fire.acknowledged(10)
                system.signal(name, signal.SIGCONT)
        fire.acknowledged(30)
    fire.said_ready_all_along()
    fire.proved(active=OLD)
    table(fire.row("One of two workers paused", "`SIGSTOP`, one after the other", recovered))


def test_none_left(system: System, table: Table) -> None:
    fire = _fire(system)
    with fire.lit():
        with fire.fault():
            system.kill("worker 1")
            system.kill("worker 2")
            fire.acknowledged(60)
        system.start("worker 1", WORKER)
        recovered = _relayed(system, GIVEN_UP)
        fire.acknowledged(30)
    fire.said_ready_all_along()
    fire.proved(active=OLD)
    table(fire.row("No worker left", "`kill -9` of both, then one is started", recovered))
