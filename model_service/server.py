"""The default server: uvicorn with httptools and uvloop, a third cheaper a request than gunicorn's ASGI worker.

Measured with one-row predictions: 0.23 ms of server CPU against 0.31 (gunicorn 27 parses HTTP in Python unless
gunicorn_h1c 0.6.14 is there, which the registry does not have). `model_service.gunicorn_conf` stays for gunicorn.
"""

from __future__ import annotations

import gc
import signal
import ssl
import sys

import uvicorn
from fastapi import FastAPI

from model_service.app import create_app
from model_service.protocol import Protocol
from model_service.settings import Settings, load_settings
from shared.processes import end_with_parent
from shared.telemetry.logs import own_process

KEEP_ALIVE_SECONDS = 75
"""Longer than a pooled client's idle connections live."""
GRACE_SECONDS = 3
"""How long connections may stay open after SIGTERM: idle pooled ones count too, and no answer takes as long."""


def served_app() -> FastAPI:
    """Return the application for one server process, with its logging set up."""
    end_with_parent()
    settings = load_settings()
    own_process(settings.log_level, settings.log_format)
    app = create_app()
    # What is loaded by now stays for good: walking through the libraries at every garbage collection took a fifth of a
    # batch's time.
    gc.collect()
    gc.freeze()
    return app


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    own_process(settings.log_level, settings.log_format)
    # uvicorn stops in order and then raises the signal again: an orderly stop is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "model_service.server:served_app",
        factory=True,
        host=settings.model_host,
        port=settings.model_port,
        workers=settings.model_workers,
        loop="uvloop",
        http=Protocol,
        ws="none",
        proxy_headers=False,  # nothing here asks for addresses, and nobody but the gateway calls
        log_config=None,  # ours, which knows the request id
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=settings.model_tls_cert,
        ssl_keyfile=settings.model_tls_key,
        ssl_ca_certs=str(settings.model_tls_client_ca) if settings.model_tls_client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if settings.model_tls_client_ca else ssl.CERT_NONE,
    )
