"""What the values of settings may be, and where secrets come from."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import limits
from environs import Env, EnvError, validate
from marshmallow import ValidationError
from pymongo.errors import InvalidURI, PyMongoError
from pymongo.uri_parser import parse_uri

from gateway.services.access.rate_limits import Rate
from shared.secret_rules import DEVELOPMENT_MARK, MODEL_SERVICE_SECRET_IN_DEVELOPMENT, secret_fault

PRODUCTION, DEVELOPMENT = DEPLOYMENTS = ("production", "development")
ASYMMETRIC = validate.ContainsOnly(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"])
"""Signatures that an issuer alone can make; with HS256 whoever knows the public key could sign."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def mongodb_uri(value: str) -> None:
    """Raise ValidationError unless the value is the address of a MongoDB with the name of a database."""
    try:
        database = parse_uri(value, validate=True)["database"]
    except (InvalidURI, PyMongoError, ValueError) as error:
        raise ValidationError(f"not a MongoDB address: {error}") from error
    if not database:
        raise ValidationError("name the database in it, as in mongodb://host:27017/segmentation")


def http_url(value: str) -> None:
    """Raise ValidationError unless the value is an HTTP address without a query."""
    if not _sound(value):
        raise ValidationError("must be an address such as http://127.0.0.1:8001")


def trusted_url(value: str) -> None:
    """Raise ValidationError unless what is read at the address comes from there: over TLS, or from this machine."""
    if not (_sound(value) and (value.startswith("https://") or urlsplit(value).hostname in _LOOPBACK)):
        raise ValidationError("must be an address such as https://login.example.com/realm")


def _sound(value: str) -> bool:
    try:
        url = urlsplit(value)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    return sound and not (url.query or url.fragment or re.search(r"\s", value))


def origins(values: list[str]) -> None:
    """Raise ValidationError unless each value is ``*`` or an origin as browsers name it (scheme, host, port)."""
    for value in values:
        url = urlsplit(value)
        named = _sound(value) and value == f"{url.scheme}://{url.netloc}".lower() and "@" not in value
        if value != "*" and not named:
            raise ValidationError("must be origins such as https://crm.example.com, with commas between them")


def read_rates(env: Env, name: str, plain: tuple[Rate, ...]) -> tuple[Rate, ...]:
    """Read rates such as ``12000 per minute``, with a semicolon between several."""
    text = env.str(name, None)
    if text is None:
        return plain
    try:
        rates = tuple(Rate(item.amount, item.get_expiry()) for item in limits.parse_many(text))
    except ValueError:
        rates = ()
    if not rates or any(rate.amount < 1 or rate.seconds < 1 for rate in rates) or len(set(rates)) < len(rates):
        raise EnvError(f'Environment variable "{name}" invalid: must be rates such as 12000 per minute; 200000 per day')
    return rates


def between(least: float, most: float = 3600) -> Callable[[float], object]:
    """Return a check that a number is within these bounds."""
    return validate.Range(least, most)


def folder(path: Path) -> None:
    """Raise ValidationError unless it is a directory that can be written to."""
    if not path.is_dir() or not os.access(path, os.W_OK):
        raise ValidationError(f"there is no directory {path} that can be written to")


def heartbeat(path: Path) -> None:
    """Raise ValidationError unless the file can be made."""
    if not path.parent.is_dir():
        raise ValidationError(f"there is no directory {path.parent}")


def readable(path: Path) -> None:
    """Raise ValidationError unless the file can be read."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValidationError(f"names a file that cannot be read: {error.strerror}") from error


def certificates(path: Path) -> None:
    """Raise ValidationError unless the file has certificates."""
    readable(path)
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError as error:
        raise ValidationError("names a file without certificates in PEM format") from error


def check_pair(cert: Path | None, key: Path | None) -> None:
    """Raise EnvError unless the certificate and the key belong together."""
    if cert is None and key is None:
        return
    try:
        ssl.create_default_context().load_cert_chain(cert or "", key)
    except OSError as error:  # an SSLError too
        raise EnvError("MODEL_SERVICE_CLIENT_CERT and MODEL_SERVICE_CLIENT_KEY do not belong together") from error


def read_secret(env: Env, name: str) -> str | None:
    """Read a secret from the variable, or from the file that NAME_FILE names (Docker and Kubernetes secrets)."""
    if file := env.path(f"{name}_FILE", None):
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EnvError(f'Environment variable "{name}_FILE" names a file that cannot be read: {error}') from error
    return env.str(name, None)


def read_strong_secret(env: Env, name: str, deployment: str, in_development: str) -> str:
    """Read a secret that production cannot do without; development takes any, and `in_development` for none."""
    secret = read_secret(env, name)
    if deployment == DEVELOPMENT:
        return secret or in_development
    if fault := secret_fault(secret):
        hint = "openssl rand -base64 36 makes one; DEPLOYMENT=development does without"
        raise EnvError(f'Environment variable "{name}" (or "{name}_FILE") {fault}; {hint}')
    assert secret is not None  # that is a fault
    return secret


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between installations; `.env.example` describes each variable."""

    mongodb_uri: str = "mongodb://127.0.0.1:27117/segmentation?replicaSet=rs0"  # the mongod of `make run`
    mongodb_username: str | None = None
    mongodb_password: str | None = None
    mongodb_timeout: float = 5.0
    query_timeout: float = 3.0
    model_service_url: str = "http://127.0.0.1:8001"
    model_service_secret: str = MODEL_SERVICE_SECRET_IN_DEVELOPMENT
    model_service_ca: Path | None = None
    model_service_client_cert: Path | None = None
    model_service_client_key: Path | None = None
    assignment_deadline: float = 0.4
    prediction_deadline: float = 2.0
    bulk_deadline: float = 30.0
    analysis_deadline: float = 600.0
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 4
    rate_limit: tuple[Rate, ...] = (Rate(12_000, 60),)
    rate_limit_bulk: tuple[Rate, ...] = (Rate(60, 60),)
    rate_limit_anonymous: tuple[Rate, ...] = (Rate(300, 60),)
    trusted_proxies: int = 0
    request_timeout: float = 30.0
    cors_origins: tuple[str, ...] = ()
    hsts_seconds: int = 31_536_000
    max_body_bytes: int = 2 * 1024 * 1024
    max_upload_bytes: int = 1024**3
    worker_interval: float = 1.0
    worker_heartbeat: Path | None = None
    log_level: str = "INFO"
    deleted_retention_days: int = 30
    require_if_match: bool = False
    idempotency_hours: int = 24
    audit_retention_days: int = 365
    import_retention_days: int = 30
    upload_folder: Path | None = None
    deployment: str = PRODUCTION
    secret_key: str = f"gateway-secret-key-{DEVELOPMENT_MARK}"  # read_settings takes it in development only
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_jwks_url: str | None = None
    oidc_algorithms: tuple[str, ...] = ("RS256", "ES256")
    oidc_scope_prefix: str = ""


_LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    environs.EnvError
        naming the variable whose value is wrong.
    """
    env = Env()
    settings = Settings(
        **_database(env),
        **_model_service(env),
        **_server(env),
        **_limits(env),
        **_worker(env),
        **_writing(env),
        **_records(env),
        **_access(env),
        **_tokens(env),
    )
    if (settings.mongodb_username is None) != (settings.mongodb_password is None):
        raise EnvError("MONGODB_USERNAME and MONGODB_PASSWORD (or MONGODB_PASSWORD_FILE) go together: set both or none")
    if settings.query_timeout >= settings.mongodb_timeout:
        raise EnvError("QUERY_TIMEOUT must be shorter than MONGODB_TIMEOUT: the server has to stop a query first")
    if (settings.oidc_issuer is None) != (settings.oidc_audience is None):
        raise EnvError("OIDC_ISSUER and OIDC_AUDIENCE go together: a token for another service must not open this one")
    check_pair(settings.model_service_client_cert, settings.model_service_client_key)
    return settings


_PLAIN = Settings()
_Values = dict[str, Any]


def _database(env: Env) -> _Values:
    longest = env.float("MONGODB_TIMEOUT", _PLAIN.mongodb_timeout, validate=between(0.1))
    query_timeout = min(_PLAIN.query_timeout, 0.6 * longest)
    return {
        "mongodb_uri": env.str("MONGODB_URI", _development_uri(env, _PLAIN.mongodb_uri), validate=mongodb_uri),
        "mongodb_username": env.str("MONGODB_USERNAME", None),
        "mongodb_password": read_secret(env, "MONGODB_PASSWORD"),
        "mongodb_timeout": longest,
        "query_timeout": env.float("QUERY_TIMEOUT", query_timeout, validate=between(0.05)),
    }


def _model_service(env: Env) -> _Values:
    day = 24 * 3600
    return {
        "model_service_url": env.str("MODEL_SERVICE_URL", _PLAIN.model_service_url, validate=http_url),
        "model_service_ca": env.path("MODEL_SERVICE_CA", None, validate=certificates),
        "model_service_client_cert": env.path("MODEL_SERVICE_CLIENT_CERT", None, validate=readable),
        "model_service_client_key": env.path("MODEL_SERVICE_CLIENT_KEY", None, validate=readable),
        "assignment_deadline": env.float("ASSIGNMENT_DEADLINE", _PLAIN.assignment_deadline, validate=between(0.01)),
        "prediction_deadline": env.float("PREDICTION_DEADLINE", _PLAIN.prediction_deadline, validate=between(0.01)),
        "bulk_deadline": env.float("BULK_DEADLINE", _PLAIN.bulk_deadline, validate=between(0.1)),
        "analysis_deadline": env.float("ANALYSIS_DEADLINE", _PLAIN.analysis_deadline, validate=between(1, day)),
    }


def _server(env: Env) -> _Values:
    return {
        "host": env.str("GATEWAY_HOST", _PLAIN.host),
        "port": env.int("GATEWAY_PORT", _PLAIN.port, validate=validate.Range(1, 65535)),
        "workers": env.int("GATEWAY_WORKERS", _PLAIN.workers, validate=between(1, 256)),
        "threads": env.int("GATEWAY_THREADS", _PLAIN.threads, validate=between(1, 256)),
        "max_body_bytes": env.int("GATEWAY_MAX_BODY_BYTES", _PLAIN.max_body_bytes, validate=between(1024, 2**30)),
        "max_upload_bytes": env.int("GATEWAY_MAX_UPLOAD_BYTES", _PLAIN.max_upload_bytes, validate=between(1024, 2**50)),
        "log_level": env.str("LOG_LEVEL", _PLAIN.log_level, validate=validate.OneOf(_LOG_LEVELS)),
    }


def _limits(env: Env) -> _Values:
    return {
        "rate_limit": read_rates(env, "RATE_LIMIT", _PLAIN.rate_limit),
        "rate_limit_bulk": read_rates(env, "RATE_LIMIT_BULK", _PLAIN.rate_limit_bulk),
        "rate_limit_anonymous": read_rates(env, "RATE_LIMIT_ANONYMOUS", _PLAIN.rate_limit_anonymous),
        "trusted_proxies": env.int("TRUSTED_PROXIES", _PLAIN.trusted_proxies, validate=between(0, 9)),
        "request_timeout": env.float("REQUEST_TIMEOUT", _PLAIN.request_timeout, validate=between(0.1)),
        "cors_origins": tuple(env.list("CORS_ORIGINS", [], validate=origins)),
        "hsts_seconds": env.int("HSTS_SECONDS", _PLAIN.hsts_seconds, validate=between(0, 2**31)),
    }


def _worker(env: Env) -> _Values:
    return {
        "worker_interval": env.float("WORKER_INTERVAL", _PLAIN.worker_interval, validate=between(0.05)),
        "worker_heartbeat": env.path("WORKER_HEARTBEAT", None, validate=heartbeat),
    }


def _writing(env: Env) -> _Values:
    days = env.int("DELETED_RETENTION_DAYS", _PLAIN.deleted_retention_days, validate=between(0, 3660))
    return {"deleted_retention_days": days, "require_if_match": env.bool("REQUIRE_IF_MATCH", _PLAIN.require_if_match)}


def _records(env: Env) -> _Values:
    kept = _PLAIN.audit_retention_days
    return {
        "idempotency_hours": env.int("IDEMPOTENCY_HOURS", _PLAIN.idempotency_hours, validate=between(1, 8760)),
        "audit_retention_days": env.int("AUDIT_RETENTION_DAYS", kept, validate=between(1, 3660)),
        "import_retention_days": env.int(
            "IMPORT_RETENTION_DAYS", _PLAIN.import_retention_days, validate=between(1, 3660)
        ),
        "upload_folder": env.path("GATEWAY_UPLOAD_FOLDER", None, validate=folder),
    }


def _access(env: Env) -> _Values:
    deployment = env.str("DEPLOYMENT", _PLAIN.deployment, validate=validate.OneOf(DEPLOYMENTS))
    return {
        "deployment": deployment,
        "secret_key": read_strong_secret(env, "GATEWAY_SECRET_KEY", deployment, _PLAIN.secret_key),
        "model_service_secret": read_strong_secret(
            env, "MODEL_SERVICE_SECRET", deployment, _PLAIN.model_service_secret
        ),
    }


def _tokens(env: Env) -> _Values:
    algorithms = env.list("OIDC_ALGORITHMS", list(_PLAIN.oidc_algorithms), validate=[validate.Length(1), ASYMMETRIC])
    return {
        "oidc_issuer": env.str("OIDC_ISSUER", None, validate=trusted_url),
        "oidc_audience": env.str("OIDC_AUDIENCE", None, validate=validate.Length(1)),
        "oidc_jwks_url": env.str("OIDC_JWKS_URL", None, validate=trusted_url),
        "oidc_algorithms": tuple(algorithms),
        "oidc_scope_prefix": env.str("OIDC_SCOPE_PREFIX", _PLAIN.oidc_scope_prefix),
    }


def _development_uri(env: Env, uri: str) -> str:
    port = env.int("MONGOD_PORT", 27117, validate=validate.Range(1, 65535))
    return uri.replace("27117", str(port))
