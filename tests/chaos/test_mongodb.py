"""MongoDB is killed, paused, cut off, full or slow."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.registry import OLD
from support.bad_link import packets_dropped, slow_link
from support.scripted_server import serving
from support.served_model import SwitchedModel, SwitchedRegistry, serving_both
from support.servers import Mongod, ReplicaSet, free_port, running_mongod, running_replica_set
from support.under_fire import Fire, Row
from support.whole_system import MONGODB_TIMEOUT, whole_system

from gateway.development.mongod import wait_for_primary
from tests.e2e.conftest import System

LONGEST = 12.0
"""Twice MONGODB_TIMEOUT for what finds out that it hangs, 3 s for a place before that, and some for a busy machine."""
NOTICE = 2 * MONGODB_TIMEOUT + 1
"""Seconds after which the gateway says that it is not ready."""
ACTIVE = OLD
Table = Callable[[Row], None]


@pytest.fixture(scope="module")
def tier_2() -> Iterator[str]:
    registry = SwitchedRegistry()
    with serving(serving_both(SwitchedModel(registry), registry)) as server:
        yield server.url


def _fire(system: System, uri: str | None = None) -> Fire:
    return Fire(system.base, system.key, uri or system.env["MONGODB_URI"], LONGEST)


def _database() -> str:
    return f"chaos_{time.time_ns()}"


@pytest.fixture(scope="module")
def nodes() -> Iterator[ReplicaSet]:
    with running_replica_set() as nodes:
        yield nodes


@pytest.fixture
def on_three(nodes: ReplicaSet, tier_2: str, tmp_path: Path) -> Iterator[System]:
    with whole_system(tmp_path, nodes.uri(_database()), MODEL_SERVICE_URL=tier_2) as system:
        yield system


@pytest.fixture(scope="module")
def server() -> Iterator[Mongod]:
    with running_mongod() as server:
        yield server


@pytest.fixture
def on_one(server: Mongod, tier_2: str, tmp_path: Path) -> Iterator[System]:
    with whole_system(tmp_path, server.uri(_database()), MODEL_SERVICE_URL=tier_2) as system:
        yield system


class TestThreeNodes:
    def test_primary_killed(self, nodes: ReplicaSet, on_three: System, table: Table) -> None:
        fire = _fire(on_three)
        with fire.lit():
            with fire.fault():
                nodes.kill_primary()
            recovered = fire.recovers(10)
            fire.acknowledged(30)
        fire.proved(active=ACTIVE)
        table(fire.row("MongoDB of three nodes: primary killed", "`kill -9`, until there is another", recovered))

    def test_primary_paused(self, nodes: ReplicaSet, on_three: System, table: Table) -> None:
        fire = _fire(on_three)
        with fire.lit():
            with fire.fault():
                nodes.pause_primary()
            recovered = fire.recovers(10)
            fire.acknowledged(30)
        fire.proved(active=ACTIVE)
        table(fire.row("MongoDB of three nodes: primary paused", "`SIGSTOP`, until there is another", recovered))


class TestOneNode:
    def test_killed(self, server: Mongod, on_one: System, table: Table) -> None:
        fire = _fire(on_one)
        with fire.lit():
            with fire.fault():
                server.kill()
                fire.refused(10)
                time.sleep(NOTICE + 1)
                fire.is_being_mended()
                server.start()
            recovered = fire.recovers(10)
            fire.acknowledged(30)
        fire.said_not_ready(NOTICE)
        fire.proved(active=ACTIVE)
        table(fire.row("MongoDB, one node: killed", "`kill -9`, away for 5 s and its start", recovered))

    def test_paused(self, server: Mongod, on_one: System, table: Table) -> None:
        assert server.process is not None
        fire = _fire(on_one)
        with fire.lit():
            with fire.fault():
                server.process.send_signal(signal.SIGSTOP)
                try:
                    fire.refused(10)
                    time.sleep(NOTICE + 1)
                    fire.is_being_mended()
                finally:
                    server.process.send_signal(signal.SIGCONT)
            recovered = fire.recovers(10)
            fire.acknowledged(30)
        fire.said_not_ready(NOTICE)
        fire.proved(active=ACTIVE)
        table(fire.row("MongoDB, one node: paused", "`SIGSTOP` for 5 s", recovered))

    def test_cut_off(self, server: Mongod, on_one: System, table: Table) -> None:
        fire = _fire(on_one)
        with fire.lit():
            with fire.fault(), packets_dropped(server.port):
                fire.refused(10)
                time.sleep(NOTICE + 1)
                fire.is_being_mended()
            recovered = fire.recovers(15)
            fire.acknowledged(30)
        fire.said_not_ready(NOTICE)
        fire.proved(active=ACTIVE)
        table(fire.row("Network between gateway and MongoDB", "packets dropped for 5 s", recovered))


class TestBehindASlowLink:
    """Each piece takes 50 ms each way, so that each operation holds a connection for a tenth of a second."""

    def test_with_few_connections(self, mongod: Mongod, tier_2: str, tmp_path: Path, table: Table) -> None:
        name = _database()
        with slow_link(mongod.port) as link:
            uri = f"mongodb://127.0.0.1:{link.port}/{name}?directConnection=true&maxPoolSize=2"
            with whole_system(tmp_path, uri, MODEL_SERVICE_URL=tier_2) as system:
                fire = _fire(system, mongod.uri(name))
                fire.clients = 16
                with fire.lit():
                    with fire.fault():
                        link.delay = 0.05
                        fire.answered(60, lambda answer: answer.status is not None, "answers")
                        time.sleep(5)
                        link.delay = 0.0
                    recovered = fire.recovers(10)
                    fire.acknowledged(30)
                fire.proved(active=ACTIVE)
        done = "two connections, 50 ms each way, 16 clients, 5 s"
        table(fire.row("MongoDB slow, connection pool exhausted", done, recovered))

    def test_too_slow(self, mongod: Mongod, tier_2: str, tmp_path: Path, table: Table) -> None:
        name = _database()
        with slow_link(mongod.port) as link:
            uri = f"mongodb://127.0.0.1:{link.port}/{name}?directConnection=true"
            with whole_system(tmp_path, uri, MODEL_SERVICE_URL=tier_2) as system:
                fire = _fire(system, mongod.uri(name))
                with fire.lit():
                    with fire.fault():
                        link.delay = MONGODB_TIMEOUT
                        fire.refused(10)
                        time.sleep(NOTICE + 1)
                        fire.is_being_mended()
                        link.delay = 0.0
                    recovered = fire.recovers(10)
                    fire.acknowledged(30)
                fire.said_not_ready(NOTICE)
                fire.proved(active=ACTIVE)
        table(fire.row("MongoDB slower than its time-out", "2 s each way for 5 s", recovered))


@contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)])
    if mounted.returncode:
        pytest.skip("a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class TestFullDisk:
    def test_full(self, tier_2: str, tmp_path: Path, table: Table) -> None:
        """mongod ends when it cannot write its journal or its log, which may take it some seconds to notice."""
        with _small_disk(tmp_path / "disk", 600) as disk:
            server = Mongod(disk, free_port())
            server.start()
            name = _database()
            try:
                with whole_system(tmp_path / "system", server.uri(name), MODEL_SERVICE_URL=tier_2) as system:
                    fire = _fire(system)
                    with fire.lit():
                        ballast = _filled(disk)
                        assert server.process is not None
                        server.process.wait(60)
                        with fire.fault():
                            fire.refused(10)
                            time.sleep(NOTICE + 1)
                            fire.is_being_mended()
                            ballast.unlink()
                            server.start()
                            wait_for_primary(server.port)
                        recovered = fire.recovers(10)
                        fire.acknowledged(30)
                    fire.said_not_ready(NOTICE)
                    fire.proved(active=ACTIVE)
            finally:
                server.kill()
        done = "no byte left; mongod ends, and is started again when there is room"
        table(fire.row("MongoDB's disk is full", done, recovered))


def _filled(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            return ballast
