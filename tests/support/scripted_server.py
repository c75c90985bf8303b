"""An HTTP server on loopback that does exactly what a script says, good or bad: bytes go out as they are written."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from fakes.model import FakeModel

from gateway.services.errors import RegistryRefusal
from gateway.services.models.model import Move, PredictionOptions
from shared.contract import ACTIVE_MODEL, EXPLAIN_MOVE, PREDICT, PREDICT_BATCH, READY
from shared.problems import MEDIA_TYPE, problem


@dataclass
class Request:
    """One received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Script = Callable[["ScriptedServer", socket.socket, Request], bool]
"""Answers a request on the connection and returns whether the connection stays open."""


@dataclass
class ScriptedServer:
    """What a running server has seen, and its address."""

    script: Script
    listener: socket.socket
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    read_bodies: bool = True
    tls: ssl.SSLContext | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        """Serve each connection in a thread until the listener is shut down."""
        while not self.stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._in_thread(self._serve, connection)

    def _in_thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self.threads.append(thread)
        thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), self._secured(plain) as connection:
            self._in_thread(self._close_at_the_end, connection)
            self._answer(connection)

    def _secured(self, plain: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(plain, server_side=True) if self.tls else plain

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while request := _read(stream, self.read_bodies):
                self.requests.append(request)
                if not self.script(self, connection, request):
                    break
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _close_at_the_end(self, connection: socket.socket) -> None:
        self.stopping.wait()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # even where TLS lies over it


def _read(stream: Any, with_body: bool) -> Request | None:
    line = stream.readline().decode()
    if not line:
        return None
    method, path, _ = line.split()
    headers = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, path, headers, _body(stream, headers) if with_body else b"")


def _body(stream: Any, headers: dict[str, str]) -> bytes:
    """Return a whole body; one that breaks off is none, and ends the connection."""
    if headers.get("transfer-encoding") != "chunked":
        return _exactly(stream, int(headers.get("content-length", 0)))
    pieces = []
    while size := int(stream.readline() or b"broken off", 16):
        pieces.append(_exactly(stream, size + 2)[:-2])
    assert stream.readline() == b"\r\n"
    return b"".join(pieces)


def _exactly(stream: Any, size: int) -> bytes:
    content: bytes = stream.read(size)
    if len(content) != size:
        raise ValueError("broken off")
    return content


@contextlib.contextmanager
def serving(script: Script, read_bodies: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server with the script; every connection is closed and every thread has ended afterwards.

    Without `read_bodies` it acts as soon as a request's headers are there.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer(script, listener, read_bodies=read_bodies, tls=tls)
        acceptor = threading.Thread(target=server.accept)
        acceptor.start()
        try:
            yield server
        finally:
            server.stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in [acceptor, *server.threads]:
                thread.join(10)


def http(body: bytes | str, status: str = "200 OK", headers: str = "Content-Type: application/json\r\n") -> bytes:
    """Return a whole HTTP/1.1 answer."""
    content = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(content)}\r\n\r\n".encode() + content


def always(answer: bytes, keep_open: bool = True) -> Script:
    """Return the script that answers every request with these bytes."""

    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        connection.sendall(answer)
        return keep_open

    return script


def hang(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
    """Never answer: a script."""
    return server.stopping.wait() and False


def trickling(begin: bytes, piece: bytes) -> Script:
    """Return the script that sends `begin` and then `piece` again and again, with short pauses."""

    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        connection.sendall(begin)
        for _ in range(1_000):  # not for ever, so that a client that waits for the end fails its test
            if server.stopping.wait(0.01):
                break
            connection.sendall(piece)
        return False

    return script


TRICKLES = {
    "body": trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    "status": trickling(b"HTTP/1.1 200 ", b"O"),
    "headers": trickling(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "chunk size": trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "continue": trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
"""Answers that never end and never fall silent."""


def serving_model(model: FakeModel) -> Script:
    """Return the script of a well-behaved model service whose model is the fake one."""

    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        try:
            connection.sendall(http(json.dumps(_answer(model, request))))
        except RegistryRefusal as refusal:
            connection.sendall(refused(refusal))
        return True

    return script


def refused(refusal: RegistryRefusal) -> bytes:
    """Return the model service's answer that means this."""
    body = problem(refusal.status, refusal.code, str(refusal), "id", refusal.errors)
    return http(json.dumps(body), f"{refusal.status} No", f"Content-Type: {MEDIA_TYPE}\r\n")


def _answer(model: FakeModel, request: Request) -> Any:
    path, _, query = request.path.partition("?")
    request = replace(request, path=path)
    options = PredictionOptions("explain=true" in query, dict(parse_qsl(query)).get("version"))
    if (request.method, request.path) == ("GET", ACTIVE_MODEL):
        return model.active()
    if (request.method, request.path) == ("GET", READY):
        status = model.status()
        return {"model_version": status.version, "fallback": status.fallback, "labels": status.labels}
    sent = json.loads(request.body)
    if (request.method, request.path) == ("POST", PREDICT):
        return model.predict(sent, 0.0, options)
    if (request.method, request.path) == ("POST", EXPLAIN_MOVE):
        return model.explain_move(Move(sent["version"], sent["from"], sent["to"], sent["changes"]), 0.0)
    assert (request.method, request.path) == ("POST", PREDICT_BATCH)
    if "columns" in sent:
        return model.score(sent["columns"])
    return {"predictions": model.predict_batch(sent["customers"], 0.0, options)}
