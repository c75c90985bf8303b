"""gunicorn's settings for the gateway.

    gunicorn -c python:gateway.gunicorn_conf 'gateway.app:create_app()'

Address, processes, threads and log level come from the gateway's own environment variables (`gateway.settings`).
"""

from __future__ import annotations

from typing import Any

from gateway.services.access.concurrency import concurrency_limits
from gateway.settings import read_settings
from shared.metrics.folder import make_metrics_folder
from shared.telemetry.gunicorn_log import GunicornLog
from shared.telemetry.logs import before_settings, own_process

before_settings()
make_metrics_folder("gateway")
_settings = read_settings()
own_process(_settings.log_level, _settings.log_format)

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
worker_class = "gthread"
threads = concurrency_limits(_settings.threads).threads
# With no more connections than threads none would be kept open.
worker_connections = threads + 1_000
keepalive = 75  # longer than a pooled client's idle connections live
limit_request_line = 8190  # its most; the default is half of it
header_map = "drop"  # X_Forwarded_For is not X-Forwarded-For, though WSGI has one name for both
forwarded_allow_ips = ""  # whom to believe what was forwarded is TRUSTED_PROXIES' business
control_socket_disable = True  # it would be written to the home directory, which may be read-only
worker_tmp_dir = "/dev/shm"  # noqa: S108  # heartbeat files must not wait for a disk; exists on a read-only root too
loglevel = "info"
logger_class = GunicornLog


def on_starting(_server: Any) -> None:
    """End the start if MongoDB is there and has no transactions, or is half restored."""
    # Here because gunicorn takes every global of this module for a setting.
    from gateway.services.errors import StoreError
    from gateway.stores import require_replica_set

    try:
        require_replica_set(_settings)
    except StoreError as error:
        raise SystemExit(str(error)) from error


def post_fork(_server: Any, _worker: Any) -> None:
    """Leave out the Server header, and refuse by problems: gunicorn has no settings for it."""
    # Imported here because gunicorn takes every global of this module for a setting.
    from gunicorn import util  # type: ignore[import-untyped]  # it ships no types
    from gunicorn.http import wsgi  # type: ignore[import-untyped]  # the same

    from shared.problems import problem_message

    plain = wsgi.Response.default_headers

    def nameless(response: Any) -> list[str]:
        return [line for line in plain(response) if not line.startswith("Server:")]

    def refuse(connection: Any, status: int, _reason: str, message: str) -> None:
        util.write_nonblock(connection, problem_message(status, message))

    wsgi.Response.default_headers = nameless
    util.write_error = refuse


def post_worker_init(worker: Any) -> None:
    """Switch threads seldom, and answer those who wait for an event when the worker is told to end: it would wait."""
    # Imported here because gunicorn takes every global of this module for a setting.
    import signal

    from gateway.app import let_go, switch_seldom

    switch_seldom()

    def end(*signalled: Any) -> None:
        let_go(worker.wsgi)
        worker.handle_exit(*signalled)

    signal.signal(signal.SIGTERM, end)
