"""Clients that send a body or take an answer slowly, or never: none may hold a thread for ever, or many at once.

What can be done about it depends on the server:

- Under gunicorn the application knows the connection: whoever has not sent a body, or a piece of a file, within
  REQUEST_TIMEOUT is cut off, and answered with 408; whoever takes nothing of an answer for that long is cut off, too.
- granian 2.8 keeps the connection to itself and has a limit for headers alone (``--http1-header-read-timeout``; its
  maintainers leave bodies to a proxy, issue 728). Reading in another thread, to be left behind, was tried: when the
  request's own thread answers meanwhile, granian 2.8.7 holds Python's lock until the body has come, and the whole
  process stands still. But the system itself ends connections (`end_dead_connections`): those whose client's machine is
  gone, and those whose client has taken nothing of an answer for about REQUEST_TIMEOUT (TCP_USER_TIMEOUT, tcp(7)).

Under both, the bounds of `services.access.concurrency` hold: on how many requests wait for their clients to send
something (its `bodies`), and on answers that are sent in pieces; no caller holds all places of either. A piece that was
taken too slowly is the last one (`taken_in_time`). For the rest there is a proxy that takes in requests before it
passes them on, and answers before they are taken, as nginx does by default: callers with a key who stay connected and
send nothing (granian), and headers that trickle in (gunicorn).
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

from flask import Flask, current_app, g, request

from gateway.services.access.concurrency import ConcurrencyLimit

KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence before a peer is asked whether it is there, seconds between questions, and how many of them."""

_LOOKS_PER_TIMEOUT = 10
_EXTENSION = "gateway.client_timeouts"


@dataclass(slots=True, eq=False)
class _Wait:
    give_up_at: float
    connection: socket.socket
    overdue: bool = False


class ClientTimeouts:
    """How long clients may take, and how many threads may wait for them.

    Parameters
    ----------
    seconds : for a body, for a piece of a file, or for taking a piece of an answer.
    places : bounds how many wait at once.
    """

    def __init__(self, seconds: float, places: ConcurrencyLimit) -> None:
        self.seconds = seconds
        self._places = places
        self._waits: set[_Wait] = set()
        self._watching = False

    @contextmanager
    def waiting(self, connection: socket.socket | None, caller: str) -> Iterator[None]:
        """Wait for a client within a `with` block.

        Parameters
        ----------
        connection : to be closed for reading when the time is over, where that is possible.

        Raises
        ------
        TimeoutError
            if the client was cut off.
        ClientsTooSlow
            when as many threads as may are waiting, for this caller or for all.
        """
        with self._places.held(caller):
            if connection is None:
                yield
                return
            wait = _Wait(time.monotonic() + self.seconds, connection)
            self._waits.add(wait)
            self._watch()
            try:
                yield
            finally:
                self._waits.discard(wait)
        if wait.overdue:
            raise TimeoutError

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            threading.Thread(target=self._look, name="slow-clients", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(self.seconds / _LOOKS_PER_TIMEOUT)
            now = time.monotonic()
            for wait in list(self._waits):
                if now >= wait.give_up_at and not wait.overdue:
                    wait.overdue = True
                    with contextlib.suppress(OSError):  # the client has left
                        wait.connection.shutdown(socket.SHUT_RD)


def end_dead_connections(seconds: float) -> bool:
    """Let the system end connections whose clients are gone, or take nothing of an answer for some seconds.

    The options are set on the sockets of this process that listen, whose connections inherit them, and on connections
    that came before. Return whether there is a socket that listens.
    """
    options = {**KEEP_ALIVE, "TCP_USER_TIMEOUT": int(seconds * 1000)}
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(found) for found in _sockets()]
        listening = [s for s in sockets if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
        ports = {server.getsockname()[1] for server in listening}
        for connection in (*listening, *(s for s in sockets if s.getsockname()[1] in ports)):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in options.items():
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return bool(listening)


def _sockets() -> Iterator[socket.socket]:
    """Yield a duplicate of every TCP socket of this process."""
    for path in Path("/dev/fd").iterdir():
        descriptor = int(path.name)
        with contextlib.suppress(OSError):  # it has been closed meanwhile
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found = socket.socket(fileno=os.dup(descriptor))
                if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                    yield found
                else:
                    found.close()


def taken_in_time(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces of an answer as long as the client takes each within the time for it.

    Raises
    ------
    TimeoutError
        instead of the next one, when it has not.
    """
    seconds = _timeouts().seconds

    def yielded() -> Iterator[bytes]:
        for piece in pieces:
            began = time.monotonic()
            yield piece
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"the client took more than {seconds:g} s for a piece of {len(piece)} bytes")

    return yielded()


class TimedBody(NamedTuple):
    """The body of a request, or what is left of it; it can be read after the request's context has ended, too."""

    stream: IO[bytes]
    timeouts: ClientTimeouts
    connection: socket.socket | None
    caller: str

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, fewer at the end, or all that is left.

        Raises
        ------
        TimeoutError
            when they do not come in time, and the server lets that be noticed.
        ClientsTooSlow
        OSError, werkzeug.exceptions.ClientDisconnected
            when the connection breaks.
        """
        with self.timeouts.waiting(self.connection, self.caller):
            return self.stream.read(size)


def register(app: Flask, seconds: float, places: ConcurrencyLimit) -> None:
    """Limit how long the application waits for its clients, and for how many at once."""
    app.extensions[_EXTENSION] = ClientTimeouts(seconds, places)


def timed_body() -> TimedBody:
    """Return the body of the request being served, which is about to be read."""
    g.body_begun = True
    connection = request.environ.get("gunicorn.socket")
    return TimedBody(request.stream, _timeouts(), connection, g.principal.identity)


def _timeouts() -> ClientTimeouts:
    timeouts: ClientTimeouts = current_app.extensions[_EXTENSION]
    return timeouts
