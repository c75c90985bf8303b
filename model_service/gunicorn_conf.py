"""gunicorn's settings for the model service.

    gunicorn -c python:model_service.gunicorn_conf 'model_service.app:create_app()'

Address, workers and log level come from the service's own environment variables (`model_service.settings`).
"""

from __future__ import annotations

import gc
import ssl
from typing import Any

from model_service.settings import load_server_settings
from shared.metrics.folder import make_metrics_folder
from shared.telemetry.gunicorn_log import GunicornLog
from shared.telemetry.logs import before_settings, own_process

before_settings()
make_metrics_folder("model-service")
_settings = load_server_settings()
own_process(_settings.log_level, _settings.log_format)

bind = f"{_settings.model_host}:{_settings.model_port}"
workers = _settings.model_workers
worker_class = "asgi"
asgi_loop = "uvloop"
asgi_lifespan = "on"
keepalive = 75  # longer than a pooled client's idle connections live
timeout = 60
graceful_timeout = 3  # idle pooled connections count as unfinished; no answer takes as long
forwarded_allow_ips = ""  # nothing here asks who called the gateway
control_socket_disable = True  # it would be written to the home directory, which may be read-only
worker_tmp_dir = "/dev/shm"  # noqa: S108  # heartbeat files must not wait for a disk; exists on a read-only root too
certfile = str(_settings.model_tls_cert) if _settings.model_tls_cert else None
keyfile = str(_settings.model_tls_key) if _settings.model_tls_key else None
ca_certs = str(_settings.model_tls_client_ca) if _settings.model_tls_client_ca else None
cert_reqs = ssl.CERT_REQUIRED if ca_certs else ssl.CERT_NONE
loglevel = _settings.log_level
logger_class = GunicornLog


def post_fork(_server: Any, _worker: Any) -> None:
    """Name no software and refuse by problems, for which gunicorn has no settings."""
    # Imported here because gunicorn takes every global of this module for a setting.
    from gunicorn.asgi import protocol  # type: ignore[import-untyped]  # it ships no types

    from shared.problems import problem_message

    protocol._CACHED_SERVER_HEADER = b""

    def refuse(self: Any, status: int, message: str, _extra: Any = ()) -> None:
        self._safe_write(problem_message(status, message))

    protocol.ASGIProtocol._send_error_response = refuse


def post_worker_init(_worker: Any) -> None:
    """Take what is loaded by now out of garbage collection.

    It stays for good; walking through the libraries again and again, while a batch's many small objects come and go,
    took a fifth of the batch's time.
    """
    gc.collect()
    gc.freeze()
