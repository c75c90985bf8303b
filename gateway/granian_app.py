"""The application as granian serves it; short, because only what a process of granian's needs is here."""

from __future__ import annotations

import signal
import socket
import threading
import time

from flask import Flask

from gateway.app import create_app as gateway
from gateway.app import let_go
from gateway.controllers.slow_clients import end_dead_connections
from gateway.settings import read_settings
from shared.telemetry.logs import own_process

_LOOK_SECONDS = 0.05
_SETTLED_SECONDS = 1.0


def create_app() -> Flask:
    """Return the gateway, in a process whose connections the system ends when their clients are gone or stuck."""
    settings = read_settings()
    own_process(settings.log_level, settings.log_format)
    threading.Thread(target=_once_it_listens, args=(settings.request_timeout,), daemon=True).start()
    app = gateway(settings)
    _let_go_at_the_end(app)
    return app


def _let_go_at_the_end(app: Flask) -> None:
    """Answer those who wait when the process is told to end: granian waits for them, and sets its own handlers later.

    What is told to a file descriptor is told whatever handler there is.
    """
    told, here = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.detach())

    def listen() -> None:
        while here.recv(1)[0] not in (signal.SIGTERM, signal.SIGINT):
            pass
        let_go(app)

    threading.Thread(target=listen, daemon=True, name="end-of-the-process").start()


def _once_it_listens(request_timeout: float) -> None:
    """Wait for granian's socket: it opens one after it has loaded the application, and has no hook for that."""
    while not end_dead_connections(request_timeout):
        time.sleep(_LOOK_SECONDS)
    time.sleep(_SETTLED_SECONDS)
    end_dead_connections(request_timeout)  # those that were on their way in
