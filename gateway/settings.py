"""The gateway's settings, read once from the environment; a wrong value stops the start and names its variable."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from environs import Env, EnvError, validate
from marshmallow import ValidationError
from pymongo.errors import InvalidURI, PyMongoError
from pymongo.uri_parser import parse_uri


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between installations; `.env.example` describes each variable."""

    mongodb_uri: str = "mongodb://127.0.0.1:27117/segmentation?replicaSet=rs0"  # the mongod of `make run`
    mongodb_username: str | None = None
    mongodb_password: str | None = None
    mongodb_timeout: float = 5.0
    model_service_url: str = "http://127.0.0.1:8001"
    assignment_deadline: float = 0.4
    prediction_deadline: float = 2.0
    bulk_deadline: float = 30.0
    analysis_deadline: float = 600.0
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 4
    max_body_bytes: int = 2 * 1024 * 1024
    max_upload_bytes: int = 1024**3
    worker_interval: float = 1.0
    worker_heartbeat: Path | None = None
    log_level: str = "INFO"


def _mongodb_uri(value: str) -> None:
    try:
        database = parse_uri(value, validate=True)["database"]
    except (InvalidURI, PyMongoError, ValueError) as error:
        raise ValidationError(f"not a MongoDB address: {error}") from error
    if not database:
        raise ValidationError("name the database in it, as in mongodb://host:27017/segmentation")


def _http_url(value: str) -> None:
    try:
        url = urlsplit(value)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        sound = sound and not (url.query or url.fragment or re.search(r"\s", value))
    except ValueError:
        sound = False
    if not sound:
        raise ValidationError("must be an address such as http://127.0.0.1:8001")


def _between(least: float, most: float = 3600) -> Callable[[float], object]:
    return validate.Range(least, most)


def _heartbeat(path: Path) -> None:
    if not path.parent.is_dir():
        raise ValidationError(f"there is no directory {path.parent}")


_LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    environs.EnvError
        naming the variable whose value is wrong.
    """
    env = Env()
    plain = Settings()
    settings = Settings(
        mongodb_uri=env.str("MONGODB_URI", _development_uri(env, plain.mongodb_uri), validate=_mongodb_uri),
        mongodb_username=env.str("MONGODB_USERNAME", None),
        mongodb_password=_secret(env, "MONGODB_PASSWORD"),
        mongodb_timeout=env.float("MONGODB_TIMEOUT", plain.mongodb_timeout, validate=_between(0.1)),
        model_service_url=env.str("MODEL_SERVICE_URL", plain.model_service_url, validate=_http_url),
        assignment_deadline=env.float("ASSIGNMENT_DEADLINE", plain.assignment_deadline, validate=_between(0.01)),
        prediction_deadline=env.float("PREDICTION_DEADLINE", plain.prediction_deadline, validate=_between(0.01)),
        bulk_deadline=env.float("BULK_DEADLINE", plain.bulk_deadline, validate=_between(0.1)),
        analysis_deadline=env.float("ANALYSIS_DEADLINE", plain.analysis_deadline, validate=_between(1, 24 * 3600)),
        host=env.str("GATEWAY_HOST", plain.host),
        port=env.int("GATEWAY_PORT", plain.port, validate=validate.Range(1, 65535)),
        workers=env.int("GATEWAY_WORKERS", plain.workers, validate=_between(1, 256)),
        threads=env.int("GATEWAY_THREADS", plain.threads, validate=_between(1, 256)),
        max_body_bytes=env.int("GATEWAY_MAX_BODY_BYTES", plain.max_body_bytes, validate=_between(1024, 2**30)),
        max_upload_bytes=env.int("GATEWAY_MAX_UPLOAD_BYTES", plain.max_upload_bytes, validate=_between(1024, 2**50)),
        worker_interval=env.float("WORKER_INTERVAL", plain.worker_interval, validate=_between(0.05)),
        worker_heartbeat=env.path("WORKER_HEARTBEAT", None, validate=_heartbeat),
        log_level=env.str("LOG_LEVEL", plain.log_level, validate=validate.OneOf(_LOG_LEVELS)),
    )
    if (settings.mongodb_username is None) != (settings.mongodb_password is None):
        raise EnvError("MONGODB_USERNAME and MONGODB_PASSWORD (or MONGODB_PASSWORD_FILE) go together: set both or none")
    return settings


def _development_uri(env: Env, uri: str) -> str:
    port = env.int("MONGOD_PORT", 27117, validate=validate.Range(1, 65535))
    return uri.replace("27117", str(port))


def _secret(env: Env, name: str) -> str | None:
    """Read a secret from the variable, or from the file that NAME_FILE names (Docker and Kubernetes secrets)."""
    if file := env.path(f"{name}_FILE", None):
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EnvError(f'Environment variable "{name}_FILE" names a file that cannot be read: {error}') from error
    return env.str(name, None)
