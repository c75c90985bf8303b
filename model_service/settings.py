"""Settings of the model service, from environment variables; parsed once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, FilePath, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.money import Currency
from shared.networks import LOOPBACK, Network, networks
from shared.secret_rules import (
    MODEL_SERVICE_SECRET_IN_DEVELOPMENT,
    MODEL_SIGNING_KEY_IN_DEVELOPMENT,
    secret_fault,
)
from shared.telemetry.logs import LogFormat, default_format

DEFAULT_STORE = Path(".data/models")


class SettingsError(Exception):
    """An environment variable has a wrong value; the message names it."""


class Settings(BaseSettings):
    """Each attribute is read from the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, protected_namespaces=())

    deployment: Annotated[
        Literal["production", "development"],
        Field(description="'development' starts without secrets, with those of the examples"),
    ] = "production"
    model_service_secret: Annotated[
        str, Field(repr=False, description="Secret that the gateway sends with every request")
    ] = MODEL_SERVICE_SECRET_IN_DEVELOPMENT
    model_service_secret_file: Annotated[Path | None, Field(description="File that holds the secret instead")] = None
    model_inference_secret: Annotated[
        str | None,
        Field(repr=False, description="Secret that opens the Open Inference Protocol (/v2) alone"),
    ] = None
    model_inference_secret_file: Annotated[Path | None, Field(description="File that holds it instead")] = None
    model_signing_key: Annotated[
        str, Field(repr=False, description="Key that signs versions, activations and names of segments")
    ] = MODEL_SIGNING_KEY_IN_DEVELOPMENT
    model_signing_key_file: Annotated[Path | None, Field(description="File that holds the key instead")] = None
    model_signing_key_old: Annotated[
        str | None, Field(repr=False, description="Former signing key, whose signatures are still taken")
    ] = None
    model_signing_key_old_file: Annotated[Path | None, Field(description="File that holds it instead")] = None

    model_store: Annotated[Path, Field(description="Directory of the model store")] = DEFAULT_STORE
    model_keep_versions: Annotated[
        int | None, Field(ge=1, description="Newest versions that a training leaves, beside all that were ever active")
    ] = None
    model_host: Annotated[str, Field(min_length=1, description="Address to listen on")] = "127.0.0.1"
    model_port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one")] = 8001
    model_tls_cert: Annotated[FilePath | None, Field(description="Certificate (PEM) to serve over TLS with")] = None
    model_tls_key: Annotated[FilePath | None, Field(description="Its key, unless the same file holds it")] = None
    model_tls_client_ca: Annotated[
        FilePath | None, Field(description="CA certificates that the gateway's own is checked against (mutual TLS)")
    ] = None
    metrics_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(networks)] = Field(
        default_factory=lambda given: LOOPBACK if given["deployment"] == "development" else (),
        description="Networks from which metrics can be read without the secret",
    )
    model_workers: Annotated[int, Field(ge=1, le=64, description="Worker processes")] = 1
    model_poll_seconds: Annotated[
        float, Field(gt=0, le=60, description="How often each worker checks for a newly activated model")
    ] = 0.5
    max_body_bytes: Annotated[int, Field(ge=1024, description="Largest accepted request body")] = 16 * 1024 * 1024
    max_upload_bytes: Annotated[int, Field(ge=1024, description="Largest accepted file of customers to train on")] = (
        1024**3
    )
    max_training_rows: Annotated[
        int, Field(ge=1, description="Most customers that a training holds in memory, about 2 KB each")
    ] = 1_000_000
    currency: Annotated[
        Currency, Field(description="Code (ISO 4217) of the currency of all amounts, which texts and pictures write")
    ] = ""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="Least severity logged")] = (
        "INFO"
    )
    log_format: Annotated[
        LogFormat, Field(description="'json', or 'text' for people; by default 'text' in development alone")
    ] = Field(default_factory=lambda given: default_format(given["deployment"]))


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    SettingsError
        naming every variable with a wrong value.
    """
    try:
        return Settings()
    except ValidationError as error:
        # A default that depends on a wrong setting is not at fault itself.
        wrong = [e for e in error.errors() if e["type"] != "default_factory_not_called"]
        raise SettingsError("; ".join(map(_fault, wrong))) from error


def _fault(error: ErrorDetails) -> str:
    """Say what is wrong with a variable, and what it was given unless that is a secret."""
    name = str(error["loc"][0]) if error["loc"] else ""
    field = Settings.model_fields.get(name.lower())
    given = f" (given {error['input']!r})" if field is not None and field.repr else ""
    return f"{name.upper()}: {error['msg']}{given}".removeprefix(": ")


def load_store_settings() -> Settings:
    """Read the settings of a process that uses the model store, which needs the key that signs what is in it.

    Raises
    ------
    SettingsError
        as `load_settings` does, and outside of development when a key is missing, short or a placeholder.
    """
    return _with_secrets(load_settings(), "model_signing_key", "model_signing_key_old")


def load_server_settings() -> Settings:
    """Read the settings of a process that serves, which also needs the secret that it shares with the gateway.

    Raises
    ------
    SettingsError
        as `load_store_settings` does, also for the secrets.
    """
    settings = _with_secrets(load_store_settings(), "model_service_secret", "model_inference_secret")
    if settings.model_inference_secret == settings.model_service_secret:
        raise SettingsError("MODEL_INFERENCE_SECRET is MODEL_SERVICE_SECRET, which opens everything; make another one")
    return settings


def _with_secrets(settings: Settings, *names: str) -> Settings:
    """Return the settings with these secrets, from the file that holds one where there is one, and check them."""
    found: dict[str, str] = {}
    for name in names:
        secret = getattr(settings, name) if name in settings.model_fields_set else None
        if file := getattr(settings, f"{name}_file"):
            secret = _content(file, name)
        needed = Settings.model_fields[name].default is not None  # a placeholder, for development
        if settings.deployment == "production" and (needed or secret is not None) and (fault := secret_fault(secret)):
            hint = "generate one with openssl rand -base64 36, or set DEPLOYMENT=development"
            raise SettingsError(f"{name.upper()} (or {name.upper()}_FILE) {fault}; {hint}")
        found |= {name: secret} if secret else {}
    return settings.model_copy(update=found)


def _content(file: Path, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name.upper()}_FILE names a file that cannot be read: {error}") from error
