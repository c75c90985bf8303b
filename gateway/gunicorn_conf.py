"""gunicorn's settings for the gateway.

    gunicorn -c python:gateway.gunicorn_conf 'gateway.app:create_app()'

Address, processes, threads and log level come from the gateway's own environment variables (`gateway.settings`).
"""

from __future__ import annotations

from typing import Any

from gateway.settings import read_settings

_settings = read_settings()

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
worker_class = "gthread"
threads = _settings.threads
keepalive = 75  # longer than a pooled client's idle connections live
limit_request_line = 8190  # its most; the default is half of it
control_socket_disable = True  # it would be written to the home directory, which may be read-only
worker_tmp_dir = "/dev/shm"  # noqa: S108  # heartbeat files must not wait for a disk; exists on a read-only root too
loglevel = "info"


def on_starting(_server: Any) -> None:
    """End the start if MongoDB is there and has no transactions."""
    # Here because gunicorn takes every global of this module for a setting.
    from gateway.services.errors import StoreError
    from gateway.stores import require_replica_set

    try:
        require_replica_set(_settings)
    except StoreError as error:
        raise SystemExit(str(error)) from error


def post_fork(_server: Any, _worker: Any) -> None:
    """Leave out the Server header, for which gunicorn has no setting."""
    from gunicorn.http import wsgi  # type: ignore[import-untyped]  # here because gunicorn takes every global of this module for a setting

    plain = wsgi.Response.default_headers

    def nameless(response: Any) -> list[str]:
        return [line for line in plain(response) if not line.startswith("Server:")]

    wsgi.Response.default_headers = nameless


def pre_request(_worker: Any, request: Any) -> None:
    """End the wait for a client that neither sends nor reads: gunicorn would hold the thread for ever."""
    request.unreader.sock.settimeout(60)
