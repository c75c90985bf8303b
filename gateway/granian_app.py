"""The application as granian serves it; short, because only what a process of granian's needs is here."""

from __future__ import annotations

import threading
import time

from flask import Flask

from gateway.app import create_app as gateway
from gateway.controllers.slow_clients import end_dead_connections
from gateway.settings import read_settings

_LOOK_SECONDS = 0.05
_SETTLED_SECONDS = 1.0


def create_app() -> Flask:
    """Return the gateway, in a process whose connections the system ends when their clients are gone or stuck."""
    settings = read_settings()
    threading.Thread(target=_once_it_listens, args=(settings.request_timeout,), daemon=True).start()
    return gateway(settings)


def _once_it_listens(request_timeout: float) -> None:
    """Wait for granian's socket: it opens one after it has loaded the application, and has no hook for that."""
    while not end_dead_connections(request_timeout):
        time.sleep(_LOOK_SECONDS)
    time.sleep(_SETTLED_SECONDS)
    end_dead_connections(request_timeout)  # those that were on their way in
