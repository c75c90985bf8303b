"""The application as granian serves it; short, because only what a process of granian's needs is here."""

from __future__ import annotations

import signal
import socket
import threading

from flask import Flask

from gateway.app import create_app as gateway
from gateway.app import let_go, switch_seldom
from gateway.settings import read_settings
from shared.telemetry import traces
from shared.telemetry.logs import own_process


def create_app() -> Flask:
    """Return the gateway, which answers those who wait for events when the process is to end."""
    settings = read_settings()
    own_process(settings.log_level, settings.log_format)
    switch_seldom()
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
        traces.flush()  # granian ends the process without what Python does at its end

    threading.Thread(target=listen, daemon=True, name="end-of-the-process").start()
