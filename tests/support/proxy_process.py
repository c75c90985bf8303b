"""The reverse proxy of deploy/proxy as a process: the machine's own nginx, in front of a gateway that is running."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from support.gateway_process import ROOT, START_SECONDS, Gateway
from support.servers import free_port

START = ROOT / "deploy" / "proxy" / "start.sh"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

needs_nginx = pytest.mark.skipif(
    not (NGINX and shutil.which("envsubst")),
    reason="nginx and envsubst are not installed (apt install nginx gettext-base)",
)


@dataclass
class Proxy:
    """A running proxy. `gateway` is the gateway as it is reached through it."""

    gateway: Gateway
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """All that the proxy has written, to both of its logs."""
        return (self.folder / "log").read_text("utf-8")

    @property
    def kept(self) -> list[str]:
        """The files that bodies and answers lie in at the moment; they have no names any more, but are open."""
        found = []
        for worker in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            for descriptor in Path(f"/proc/{worker}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    found.append(str(descriptor.readlink()))
        return [name for name in found if name.startswith(str(self.folder / "buffers"))]


def command(folder: Path, **settings: object) -> subprocess.Popen[bytes]:
    """Start the proxy by its script, with its files in a folder and its output in the file ``log`` there."""
    (folder / "buffers").mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "PROXY_RUN": str(folder),
        "PROXY_BUFFERS": str(folder / "buffers"),
        "PROXY_TLS": str(folder / "tls"),
        "PROXY_HEALTH_PORT": str(free_port()),
        **{name: str(value) for name, value in settings.items()},
    }
    # Started by root, nginx would give its work to somebody who may not enter the folder.
    owner = ["-g", "user root;"] if os.geteuid() == 0 else []
    with (folder / "log").open("w") as output:
        return subprocess.Popen(["sh", str(START), *owner], env=environment, stdout=output, stderr=output)


@contextlib.contextmanager
def running_proxy(gateway: Gateway, folder: Path, **settings: object) -> Iterator[Proxy]:
    """Run the proxy before a gateway, with these variables of start.sh."""
    port = free_port()
    process = command(folder, PROXY_GATEWAY=f"127.0.0.1:{gateway.port}", PROXY_PORT=port, **settings)
    try:
        _wait(process, port, folder)
        yield Proxy(replace(gateway, port=port), folder, process)
    finally:
        process.terminate()
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        assert process.poll() is None, (folder / "log").read_text()
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.01)
    pytest.fail((folder / "log").read_text())


def ended(connection: socket.socket) -> bool:
    """Wait until the other side ends the connection, and return whether it said nothing before."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def problem_of(answer: requests.Response) -> str:
    """Return the code of a problem, as nginx or the gateway tells it, after looking at its form."""
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    content = answer.json()
    assert content["status"] == answer.status_code
    assert content["type"] == f"urn:customer-segmentation:problem:{content['code']}"
    assert content["request_id"] == answer.headers["X-Request-ID"]
    assert content["title"]
    assert content["detail"]
    code: str = content["code"]
    return code
