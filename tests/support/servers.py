"""A real mongod for tests: one per session, a database of its own for each test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

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
