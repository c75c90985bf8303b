"""Settings of the model service, from environment variables; parsed once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_STORE = Path(".data/models")


class SettingsError(Exception):
    """An environment variable has a wrong value; the message names it."""


class Settings(BaseSettings):
    """Each attribute is read from the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, protected_namespaces=())

    model_store: Annotated[Path, Field(description="Directory of the model store")] = DEFAULT_STORE
    model_host: Annotated[str, Field(min_length=1, description="Address to listen on")] = "127.0.0.1"
    model_port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one")] = 8001
    model_workers: Annotated[int, Field(ge=1, le=64, description="Worker processes")] = 1
    model_poll_seconds: Annotated[
        float, Field(gt=0, le=60, description="How often each worker looks for another active model")
    ] = 0.5
    max_body_bytes: Annotated[int, Field(ge=1024, description="Largest accepted request body")] = 16 * 1024 * 1024
    max_upload_bytes: Annotated[int, Field(ge=1024, description="Largest accepted file of customers to train on")] = (
        1024**3
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="Least severity logged")] = (
        "INFO"
    )


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
        faults = [f"{str(e['loc'][0]).upper()}: {e['msg']} (given {e['input']!r})" for e in error.errors()]
        raise SettingsError("; ".join(faults)) from error
