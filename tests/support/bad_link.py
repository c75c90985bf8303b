"""What a network does to those who talk over it: pieces come late, or nothing comes at all."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from support.servers import free_port


@dataclass
class SlowLink:
    """Passes everything on, each piece so many seconds later."""

    server_port: int
    delay: float = 0.0
    port: int = field(default_factory=free_port)

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.server_port))
                except OSError:
                    client.close()
                    continue
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        target.close()  # each of the two threads closes what it wrote to


@contextlib.contextmanager
def slow_link(server_port: int) -> Iterator[SlowLink]:
    """Run a link to the server at a port; it is as good as none until it is given a delay."""
    link = SlowLink(server_port)
    with socket.create_server(("127.0.0.1", link.port), backlog=128) as listener:
        threading.Thread(target=link.serve, args=(listener,), daemon=True).start()
        try:
            yield link
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def packets_dropped(port: int) -> Iterator[None]:
    """Let the kernel drop what goes to and from a port of this machine, without a word to either side."""
    tool = shutil.which("iptables") or shutil.which("iptables", path="/usr/sbin:/sbin")
    if tool is None:
        pytest.skip("dropping packets needs iptables")
    rules = [["INPUT", "-i", "lo", "-p", "tcp", end, str(port), "-j", "DROP"] for end in ("--dport", "--sport")]
    made: list[list[str]] = []
    try:
        for rule in rules:
            done = subprocess.run([tool, "-w", "-I", *rule], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"dropping packets needs root: {done.stderr}")
            made.append(rule)
        yield
    finally:
        for rule in made:
            subprocess.run([tool, "-w", "-D", *rule], check=True)
