"""A real mongod for tests: one per session, a database of its own for each test."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from gateway.development import mongod

STOP_SECONDS = 30.0


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Mongod:
    """A mongod that can be killed and started again on the same data."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes writes."""
        self.process = mongod.start(self.folder, self.port)

    def kill(self) -> None:
        """Kill it as ``kill -9`` does; nothing is flushed."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Stop it in order, if it runs."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(STOP_SECONDS)

    def uri(self, database: str) -> str:
        """Return the address of a database."""
        return mongod.uri(self.port, database)


@contextlib.contextmanager
def running_mongod() -> Iterator[Mongod]:
    """Run a mongod; its data (some 300 MB of journal) go with it."""
    with tempfile.TemporaryDirectory(prefix="mongod-") as folder:
        server = Mongod(Path(folder), free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def own_database(client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """Give the name of a database that nobody else uses, and drop it afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    try:
        yield name
    finally:
        client.drop_database(name)


@dataclass
class ReplicaSet:
    """Three mongods, of which one is the primary; each can be killed, or paused until another one is."""

    nodes: list[Mongod]

    def uri(self, database: str) -> str:
        """Return the address of a database."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"mongodb://{hosts}/{database}?replicaSet={mongod.REPLICA_SET}"

    def start(self) -> None:
        """Start all of them and make them one replica set."""
        for node in self.nodes:
            node.process = subprocess.Popen(mongod.command(node.folder, node.port))
        members = [{"_id": n, "host": f"127.0.0.1:{node.port}"} for n, node in enumerate(self.nodes)]
        settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 300}
        config = {"_id": mongod.REPLICA_SET, "members": members, "settings": settings}
        for node in self.nodes:  # all of them must be there
            with MongoClient[dict[str, Any]]("127.0.0.1", node.port, directConnection=True) as client:
                client.admin.command("ping")
        with MongoClient[dict[str, Any]]("127.0.0.1", self.nodes[0].port, directConnection=True) as client:
            client.admin.command("replSetInitiate", config)
        self.primary()

    def primary(self, besides: Mongod | None = None) -> Mongod:
        """Return the primary, once there is one besides the given node."""
        give_up_at = time.monotonic() + mongod.START_SECONDS
        while time.monotonic() < give_up_at:
            for node in self.nodes:
                if node is not besides and self._is_primary(node):
                    return node
            time.sleep(0.05)
        raise TimeoutError("the replica set has no primary")

    @staticmethod
    def _is_primary(node: Mongod) -> bool:
        options: dict[str, Any] = {"directConnection": True, "timeoutMS": 500, "serverSelectionTimeoutMS": 500}
        with MongoClient[dict[str, Any]]("127.0.0.1", node.port, **options) as client:
            try:
                return bool(client.admin.command("hello").get("isWritablePrimary"))
            except PyMongoError:
                return False

    def kill_primary(self) -> None:
        """Kill the primary, and start it again once there is another one."""
        node = self.primary()
        node.kill()
        self.primary(besides=node)
        node.process = subprocess.Popen(mongod.command(node.folder, node.port))

    def pause_primary(self) -> None:
        """Stop the primary's process, and let it go on once there is another primary."""
        node = self.primary()
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        try:
            self.primary(besides=node)
        finally:
            node.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def running_replica_set() -> Iterator[ReplicaSet]:
    """Run a replica set of three."""
    with tempfile.TemporaryDirectory(prefix="mongods-") as folder:
        nodes = ReplicaSet([Mongod(Path(folder) / str(n), free_port()) for n in range(3)])
        try:
            nodes.start()
            yield nodes
        finally:
            for node in nodes.nodes:
                if node.process is not None:
                    node.kill()
