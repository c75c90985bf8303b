"""Everything that differs between installations, read from environment variables once."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pymongo.errors import InvalidURI, PyMongoError
from pymongo.uri_parser import parse_uri

from gateway.services.access.rate_limits import Rate
from shared.money import Currency
from shared.networks import LOOPBACK, Network, networks
from shared.secret_rules import (
    DEVELOPMENT_MARK,
    MODEL_SERVICE_SECRET_IN_DEVELOPMENT,
    SettingsError,
    read_secret_file,
    secret_fault,
)
from shared.telemetry.logs import LogFormat, default_format

PRODUCTION: Final = "production"
DEVELOPMENT: Final = "development"

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "month": 2_592_000, "year": 31_104_000}
_RATE = re.compile(rf"\s*(\d+)\s*(?:/|per)\s*(\d*)\s*({'|'.join(_SECONDS)})s?\s*", re.ASCII | re.IGNORECASE)
_DAY = 24 * 3600


def _mongodb_uri(value: str) -> str:
    try:
        database = parse_uri(value, validate=True)["database"]
    except (InvalidURI, PyMongoError, ValueError) as error:
        raise ValueError(f"not a MongoDB address: {error}") from error
    if not database:
        raise ValueError("name the database in it, as in mongodb://host:27017/segmentation")
    return value


def _http_url(value: str) -> str:
    if not _sound(value):
        raise ValueError("must be an address such as http://127.0.0.1:8001")
    return value


def _trusted_url(value: str) -> str:
    """Raise ValueError unless what is read at the address comes from there: over TLS, or from this machine."""
    if not (_sound(value) and (value.startswith("https://") or urlsplit(value).hostname in _LOOPBACK)):
        raise ValueError("must be an address such as https://login.example.com/realm")
    return value


def _sound(value: str) -> bool:
    try:
        url = urlsplit(value)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    return sound and not (url.query or url.fragment or re.search(r"[\s*]", value))


_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")


def _origin(value: str) -> str:
    """Raise ValueError unless the value is an origin, written as browsers write it (RFC 6454 section 6.2)."""
    if not _is_origin(value):
        detail = "scheme, host and port as browsers send them, with no path, no default port and no pattern"
        raise ValueError(f"must be origins such as https://crm.example.com, with commas between them: {detail}")
    return value


def _is_origin(value: str) -> bool:
    scheme, _, rest = value.partition("://")
    try:
        url = urlsplit(value)
        host, port = _host(url.hostname or ""), url.port
    except ValueError:
        return False
    written = host if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{host}:{port}"
    return scheme in _DEFAULT_PORTS and port != 0 and rest == written


def _host(name: str) -> str:
    """Return a host as it stands in an origin.

    Raises
    ------
    ValueError
        unless it is a name in ASCII or an address.
    """
    if ":" in name and "%" not in name:
        return f"[{ipaddress.IPv6Address(name).compressed}]"
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("no host")
    last = name.rstrip(".").rpartition(".")[2]
    return str(ipaddress.IPv4Address(name)) if last.isdigit() else name


def _rates(value: Any) -> Any:
    """Parse rates such as ``12000 per minute``, ``5 per 2 minutes`` or ``500/day``, separated by semicolons."""
    if not isinstance(value, str):
        return value
    found = [_RATE.fullmatch(part) for part in re.split("[,;|]", value)]
    rates = [Rate(int(m[1]), int(m[2] or 1) * _SECONDS[m[3].lower()]) for m in found if m]
    if len(rates) < len(found) or not all(map(all, rates)) or len(set(rates)) < len(rates):
        raise ValueError("must be rates such as 12000 per minute; 200000 per day")
    return tuple(rates)


def _audience(value: str) -> str:
    if not value or "*" in value:
        raise ValueError("must be the one audience that tokens are for, and no pattern")
    return value


def _list(value: Any) -> Any:
    return tuple(value.split(",") if value else ()) if isinstance(value, str) else value


def _writable(path: Path) -> Path:
    if not path.is_dir() or not os.access(path, os.W_OK):
        raise ValueError(f"there is no directory {path} that can be written to")
    return path


def _in_a_directory(path: Path) -> Path:
    if not path.parent.is_dir():
        raise ValueError(f"there is no directory {path.parent}")
    return path


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"names a file that cannot be read: {error.strerror}") from error
    return path


def _certificates(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=_readable(path))
    except ssl.SSLError as error:
        raise ValueError("names a file without certificates in PEM format") from error
    return path


def _fit_key(cert: Path | None, key: Path | None) -> None:
    try:
        ssl.create_default_context().load_cert_chain(cert or "", key)
    except OSError as error:  # an SSLError too
        raise ValueError("MODEL_SERVICE_CLIENT_CERT and MODEL_SERVICE_CLIENT_KEY do not belong together") from error


_Port = Annotated[int, Field(ge=1, le=65535)]
_Count = Annotated[int, Field(ge=1, le=256)]
_Days = Annotated[int, Field(ge=1, le=3660)]
_Deadline = Annotated[float, Field(ge=0.01, le=3600)]
_TrustedUrl = Annotated[str, AfterValidator(_trusted_url)]
_ReadableFile = Annotated[Path, AfterValidator(_readable)]
_Rates = Annotated[tuple[Rate, ...], NoDecode, BeforeValidator(_rates)]
_Signature = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Those that an issuer alone can make; with HS256 whoever knows the public key could sign."""

_PREFIXED = frozenset(
    {"host", "port", "workers", "threads", "max_body_bytes", "max_upload_bytes", "upload_folder", "secret_key"}
)


def variable(setting: str) -> str:
    """Return the environment variable of a setting."""
    return f"GATEWAY_{setting}".upper() if setting in _PREFIXED else setting.upper()


class Settings(BaseSettings):
    """Each attribute and its environment variable (`variable`); `.env.example` describes them."""

    model_config = SettingsConfigDict(
        frozen=True,
        alias_generator=variable,
        validate_by_name=True,  # for whoever gives a value in Python …
        env_prefix="=",  # … which must not be a second way to set one from outside: no variable's name can begin so
        case_sensitive=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    deployment: Literal["production", "development"] = PRODUCTION
    mongod_port: _Port = 27117
    mongodb_uri: Annotated[str, AfterValidator(_mongodb_uri)] = Field(
        default_factory=lambda given: f"mongodb://127.0.0.1:{given['mongod_port']}/segmentation?replicaSet=rs0"
    )
    """By default the mongod of ``make run``."""
    mongodb_username: str | None = None
    mongodb_password: str | None = Field(None, repr=False)
    mongodb_timeout: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    query_timeout: Annotated[float, Field(ge=0.05, le=3600)] = Field(
        default_factory=lambda given: min(3.0, 0.6 * given["mongodb_timeout"])
    )
    model_service_url: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:8001"
    model_service_secret: str = Field(MODEL_SERVICE_SECRET_IN_DEVELOPMENT, repr=False)
    model_service_ca: Annotated[Path, AfterValidator(_certificates)] | None = None
    model_service_client_cert: _ReadableFile | None = None
    model_service_client_key: _ReadableFile | None = None
    assignment_deadline: _Deadline = 0.4
    prediction_deadline: _Deadline = 2.0
    bulk_deadline: Annotated[float, Field(ge=0.1, le=3600)] = 30.0
    analysis_deadline: Annotated[float, Field(ge=1, le=_DAY)] = 600.0
    host: str = "127.0.0.1"
    port: _Port = 8000
    workers: _Count = 1
    threads: _Count = 4
    rate_limit: _Rates = (Rate(12_000, 60),)
    rate_limit_bulk: _Rates = (Rate(60, 60),)
    rate_limit_anonymous: _Rates = (Rate(300, 60),)
    trusted_proxies: Annotated[int, Field(ge=0, le=9)] = 0
    cors_origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_list)] = ()
    metrics_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(networks)] = Field(
        default_factory=lambda given: LOOPBACK if given["deployment"] == DEVELOPMENT else ()
    )
    metrics_port: _Port | None = None
    webhook_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(networks)] = Field(
        default_factory=lambda given: LOOPBACK if given["deployment"] == DEVELOPMENT else ()
    )
    webhook_timeout: Annotated[float, Field(ge=0.1, le=60)] = 10.0
    webhook_give_up_hours: Annotated[float, Field(gt=0, le=8760)] = 72.0
    webhook_log_days: Annotated[int, Field(ge=1, le=366)] = 14
    webhook_ca: Annotated[Path, AfterValidator(_certificates)] | None = None
    drift_hours: Annotated[float, Field(ge=0, le=8760)] = 24.0
    hsts_seconds: Annotated[int, Field(ge=0, le=2**31)] = 31_536_000
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**30)] = 2 * 1024 * 1024
    max_upload_bytes: Annotated[int, Field(ge=1024, le=2**50)] = 1024**3
    worker_interval: Annotated[float, Field(ge=0.05, le=3600)] = 1.0
    worker_heartbeat: Annotated[Path, AfterValidator(_in_a_directory)] | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    deleted_retention_days: Annotated[int, Field(ge=0, le=3660)] = 30
    require_if_match: bool = False
    idempotency_hours: Annotated[int, Field(ge=1, le=8760)] = 24
    audit_retention_days: _Days = 365
    history_retention_days: _Days = 365
    import_retention_days: _Days = 30
    upload_folder: Annotated[Path, AfterValidator(_writable)] | None = None
    log_format: LogFormat = Field(default_factory=lambda given: default_format(given["deployment"]))
    currency: Currency = ""
    secret_key: str = Field(f"gateway-secret-key-{DEVELOPMENT_MARK}", repr=False)
    oidc_issuer: _TrustedUrl | None = None
    oidc_audience: Annotated[str, AfterValidator(_audience)] | None = None
    oidc_jwks_url: _TrustedUrl | None = None
    oidc_algorithms: Annotated[tuple[_Signature, ...], NoDecode, BeforeValidator(_list), Field(min_length=1)] = (
        "RS256",
        "ES256",
    )
    oidc_scope_prefix: str = ""
    oidc_client_id: Annotated[str, Field(min_length=1)] | None = None
    oidc_client_secret: str | None = Field(None, repr=False)
    oidc_scopes: Annotated[str, Field(pattern=r"(^|.* )openid( .*|$)")] = "openid profile"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.mongodb_username is None) != (self.mongodb_password is None):
            both = "MONGODB_USERNAME and MONGODB_PASSWORD (or MONGODB_PASSWORD_FILE)"
            raise ValueError(f"{both} go together: set both or none")
        if self.query_timeout >= self.mongodb_timeout:
            raise ValueError("QUERY_TIMEOUT must be shorter than MONGODB_TIMEOUT: the server has to stop a query first")
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            reason = "a token for another service must not open this one"
            raise ValueError(f"OIDC_ISSUER and OIDC_AUDIENCE go together: {reason}")
        if self.oidc_client_id and self.oidc_issuer is None:
            raise ValueError("OIDC_CLIENT_ID needs OIDC_ISSUER and OIDC_AUDIENCE: it is where people sign in")
        if self.oidc_client_secret and self.oidc_client_id is None:
            raise ValueError("OIDC_CLIENT_SECRET goes with OIDC_CLIENT_ID")
        if self.model_service_client_cert or self.model_service_client_key:
            _fit_key(self.model_service_client_cert, self.model_service_client_key)
        return self


_SECRETS = ("secret_key", "model_service_secret")
"""What production cannot do without."""


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    SettingsError
        naming every variable whose value is wrong.
    """
    of_files = ("mongodb_password", "oidc_client_secret", *_SECRETS)
    files: dict[str, Any] = {name: read_secret_file(variable(name)) for name in of_files}
    try:
        settings = Settings(**{name: secret for name, secret in files.items() if secret is not None})
    except ValidationError as error:
        # A default that depends on a wrong setting is not at fault itself.
        faults = [_fault(fault) for fault in error.errors() if fault["type"] != "default_factory_not_called"]
        raise SettingsError("; ".join(faults)) from error
    if settings.deployment == DEVELOPMENT:  # it takes any secret, and its own for none
        return settings.model_copy(update={name: _default(name) for name in _SECRETS if not getattr(settings, name)})
    for name in _SECRETS:
        if fault := secret_fault(getattr(settings, name) if name in settings.model_fields_set else None):
            hint = "openssl rand -base64 36 makes one; DEPLOYMENT=development does without"
            raise SettingsError(f'Environment variable "{variable(name)}" (or "{variable(name)}_FILE") {fault}; {hint}')
    return settings


def _default(name: str) -> Any:
    return Settings.model_fields[name].default


def _fault(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f'Environment variable "{error["loc"][0]}" invalid: {message}' if error["loc"] else message
