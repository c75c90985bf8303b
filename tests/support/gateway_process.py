"""The gateway as a process of its own, under either server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from support.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
SERVERS = {
    "granian": ["gateway", "serve"],
    "gunicorn": ["gunicorn", "-c", "python:gateway.gunicorn_conf", "gateway.app:create_app()"],
}
GRANIAN_BEHIND_A_PROXY = "granian behind a proxy"
"""As an operator starts it whose proxy drops names with underscores; the gateway's own command takes gunicorn there."""


NO_HEADERS = {
    "HTTP_X_REQUEST_ID": "from-the-environment",
    "HTTP_IF_MATCH": '"0"',
    "HTTP_TRANSFER_ENCODING": "chunked",
    "CONTENT_TYPE": "text/plain",
    "SCRIPT_NAME": "/elsewhere",
    "REMOTE_USER": "root",
    "gunicorn.socket": "7",
}
"""Variables of the process that are nobody's headers."""


def new_key(uri: str, *scopes: str) -> str:
    """Make an API key in a database, as an operator does."""
    asked = [word for scope in scopes for word in ("--scope", scope)]
    create = [sys.executable, "-m", "gateway", "keys", "create", "--name", "test", *asked]
    environment = {**os.environ, "MONGODB_URI": uri}
    done = subprocess.run(create, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


@dataclass
class Gateway:
    """A running gateway."""

    port: int
    key: str
    explains: bool
    """Whether the server answers what is no HTTP by a problem."""
    process: subprocess.Popen[bytes]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return requests.request(method, self.base + path, headers=headers, **{"timeout": 20, **options})

    def raw(self, head: str, content: bytes = b"", key: str | None = None, buffer: int = 0) -> socket.socket:
        """Send a request as it is written, and leave the connection open; `buffer` is what the client takes unread."""
        connection = socket.socket()
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", self.port))
        lines = [head, "Host: gateway", f"Authorization: Bearer {self.key if key is None else key}", "", ""]
        connection.sendall("\r\n".join(lines).encode() + content)
        return connection


@contextlib.contextmanager
def running_gateway(uri: str, server: str, log: Path, **settings: object) -> Iterator[Gateway]:
    """Run a gateway with these settings (environment variables), and an administrator's key."""
    port = free_port()
    environment = {
        **os.environ,
        "RATE_LIMIT_ANONYMOUS": "100000 per minute",
        "RATE_LIMIT_BULK": "100000 per minute",
        "MONGODB_URI": uri,
        "MODEL_SERVICE_URL": f"http://127.0.0.1:{free_port()}",
        "GATEWAY_PORT": str(port),
        **{name: str(value) for name, value in settings.items()},
    }
    key = new_key(uri, "admin")
    environment |= {**NO_HEADERS, "HTTP_AUTHORIZATION": f"Bearer {key}"}
    with log.open("w") as output:
        command = [sys.executable, "-m", *(SERVERS.get(server) or _granian(port))]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    gateway = Gateway(port, key, server == "gunicorn", process)
    try:
        _wait(gateway, process, log)
        yield gateway
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _granian(port: int) -> list[str]:
    options = ["--interface", "wsgi", "--port", str(port), "--blocking-threads", "64", "--http", "1", "--no-ws"]
    return ["granian", *options, "--log-level", "error", "--factory", "gateway.granian_app:create_app"]


def _wait(gateway: Gateway, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(requests.ConnectionError):
            if gateway.ask("GET", "/health/ready").ok:
                return
        time.sleep(0.05)
    pytest.fail(log.read_text())
