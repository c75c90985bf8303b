"""Clients that send a body slowly, or never: they must hold neither every thread nor one thread for ever.

Reading from ``wsgi.input`` blocks. What can be done about it depends on the server:

- Under gunicorn the application knows the connection: whoever has not sent a body, or a piece of a file, within
  REQUEST_TIMEOUT is cut off, and answered with 408.
- granian 2.8 keeps the connection to itself and has a limit for headers alone (``--http1-header-read-timeout``, 30 s;
  its maintainers leave bodies to a proxy, issue 728). Reading in another thread, to be left behind, was tried: when the
  request's own thread answers meanwhile, granian 2.8.7 holds Python's lock until the body has come, and the whole
  process stands still. So the wait itself cannot be ended; but TCP's keep-alive is turned on for connections that are
  overdue, so that a client whose machine is gone (rather than disconnected) is noticed within a minute.

Under both, `ClientTimeouts` leaves a thread over, however many clients are slow; one too many is refused with 503. Only
callers whose key or token holds get this far. For the rest there is a proxy that takes requests in before it passes
them on, as nginx does by default: callers with a key who stay connected and send nothing (granian), clients that read
their answers slowly (granian; gunicorn gives up after a minute), and headers that trickle in (gunicorn).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

from flask import Flask, current_app, g, request

from gateway.services.access.concurrency import QUEUE_SECONDS, ConcurrencyLimit
from gateway.services.errors import ClientsTooSlow

KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence before a peer is asked whether it is there, seconds between questions, and how many of them."""

_LOOKS_PER_TIMEOUT = 10
_EXTENSION = "gateway.client_timeouts"


@dataclass(slots=True, eq=False)
class _Wait:
    give_up_at: float
    connection: socket.socket | None
    overdue: bool = False


class ClientTimeouts:
    """How long clients may take, and how many threads may wait for them.

    Parameters
    ----------
    seconds : for a body, or for a piece of a file.
    threads : of the process.
    """

    def __init__(self, seconds: float, threads: int) -> None:
        self.seconds = seconds
        self._places = ConcurrencyLimit(max(1, threads - 1), ClientsTooSlow, QUEUE_SECONDS)
        self._waits: set[_Wait] = set()
        self._watching = False

    @contextmanager
    def waiting(self, connection: socket.socket | None) -> Iterator[None]:
        """Wait for a client within a `with` block.

        Parameters
        ----------
        connection : to be closed for reading when the time is over, where that is possible.

        Raises
        ------
        TimeoutError
            if the client was cut off.
        ClientsTooSlow
            when as many threads as may are waiting.
        """
        wait = _Wait(time.monotonic() + self.seconds, connection)
        with self._places.held():
            self._waits.add(wait)
            self._watch()
            try:
                yield
            finally:
                self._waits.discard(wait)
        if wait.overdue and connection:
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
                    _cut_off(wait.connection)


def _cut_off(connection: socket.socket | None) -> None:
    if connection is None:
        enable_keep_alive()
        return
    with contextlib.suppress(OSError):  # the client has left
        connection.shutdown(socket.SHUT_RD)


def enable_keep_alive() -> None:
    """Let the system find out which peers of this process's connections are gone; does nothing to the others."""
    for descriptor in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(descriptor.name))) as connection:
            if connection.family in (socket.AF_INET, socket.AF_INET6):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, value in KEEP_ALIVE.items():
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class TimedBody(NamedTuple):
    """The body of a request, or what is left of it; it can be read after the request's context has ended, too."""

    stream: IO[bytes]
    timeouts: ClientTimeouts
    connection: socket.socket | None

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
        with self.timeouts.waiting(self.connection):
            return self.stream.read(size)


def register(app: Flask, seconds: float, threads: int) -> None:
    """Limit how long the application waits for its clients."""
    app.extensions[_EXTENSION] = ClientTimeouts(seconds, threads)


def timed_body() -> TimedBody:
    """Return the body of the request being served, which is about to be read."""
    g.body_begun = True
    return TimedBody(request.stream, current_app.extensions[_EXTENSION], request.environ.get("gunicorn.socket"))
