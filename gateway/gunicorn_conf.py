"""gunicorn's settings for the gateway.

    gunicorn -c python:gateway.gunicorn_conf 'gateway.app:create_app()'

Address, processes, threads and log level come from the gateway's own environment variables (`gateway.settings`).
"""

from __future__ import annotations

from typing import Any

from gateway.middleware.lingering_close import THREADS as _MORE_THREADS
from gateway.services.access.concurrency import concurrency_limits
from gateway.settings import read_settings
from shared.telemetry.gunicorn_log import GunicornLog
from shared.telemetry.logs import before_settings, own_process

before_settings()
_settings = read_settings()
own_process(_settings.log_level, _settings.log_format)

bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
worker_class = "gthread"
threads = concurrency_limits(_settings.threads).threads + _MORE_THREADS
# With no more connections than threads none would be kept open, and gunicorn's one loop would linger on each it closes.
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
    """End the start if MongoDB is there and has no transactions."""
    # Here because gunicorn takes every global of this module for a setting.
    from gateway.services.errors import StoreError
    from gateway.stores import require_replica_set

    try:
        require_replica_set(_settings)
    except StoreError as error:
        raise SystemExit(str(error)) from error


def post_fork(_server: Any, _worker: Any) -> None:
    """Leave out the Server header, refuse by problems, and linger on no connection: gunicorn has no settings for it."""
    # Imported here because gunicorn takes every global of this module for a setting.
    from functools import partial

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
    # It would wait for each client to close, up to 2 s, in the loop that serves all others. That a refusal reaches a
    # client that is still sending is seen to by `gateway.middleware.lingering_close`, in threads of its own.
    util.close_graceful = partial(util.close_graceful, timeout=0.001)


def post_worker_init(worker: Any) -> None:
    """Answer those who wait for an event when the worker is told to end: it would wait for them."""
    # Imported here because gunicorn takes every global of this module for a setting.
    import signal

    from gateway.app import let_go

    def end(*signalled: Any) -> None:
        let_go(worker.wsgi)
        worker.handle_exit(*signalled)

    signal.signal(signal.SIGTERM, end)


def pre_request(_worker: Any, request: Any) -> None:
    """End the wait for a client that neither sends nor reads, and let the application ask for the body."""
    connection = request.unreader.sock
    # gunicorn would hold the thread for ever. Who does not send is cut off by `gateway.controllers.slow_clients` before
    # that, and hears why.
    connection.settimeout(2 * _settings.request_timeout)
    if request._expected_100_continue:
        # gunicorn would ask for every body, also for those that are then refused. One that was not asked for may come
        # or not, so that nobody knows where the next request begins.
        request._expected_100_continue = False
        request.force_close()
        request.body.read = _asking(request.body.read, connection)


def _asking(read: Any, connection: Any) -> Any:
    asked = False

    def ask_and_read(*size: int) -> Any:
        nonlocal asked
        if not asked:
            asked = True
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return read(*size)

    return ask_and_read
