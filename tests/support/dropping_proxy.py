"""A proxy before mongod that breaks connections at a command, so that the client never knows what became of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.servers import free_port


@dataclass
class DroppingProxy:
    """Passes everything on but what it is told to drop.

    Attributes
    ----------
    command : the name of the command at which it breaks the connection.
    times : how often it still does.
    passes_on : whether the server gets the command all the same.
    dropped : how often it has done so.
    """

    server_port: int
    port: int = field(default_factory=free_port)
    command: bytes = b"commitTransaction"
    times: int = 0
    passes_on: bool = True
    dropped: int = 0

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client, server:
            while piece := client.recv(65536):
                drops = self.times > 0 and self.command in piece
                if drops:
                    self.times -= 1
                    self.dropped += 1
                    client.shutdown(socket.SHUT_RDWR)  # before the server's answer can be passed on
                if self.passes_on or not drops:
                    server.sendall(piece)
                if drops:
                    return


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


@contextlib.contextmanager
def dropping_proxy(server_port: int) -> Iterator[DroppingProxy]:
    """Run a proxy before the server at a port."""
    proxy = DroppingProxy(server_port)
    with socket.create_server(("127.0.0.1", proxy.port)) as listener:
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        yield proxy
