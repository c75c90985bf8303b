"""The commands of ``python -m gateway`` that are more than a few lines, and what commands share."""

from __future__ import annotations

import socket

import click

from gateway.services.errors import StoreError
from gateway.settings import Settings, read_settings
from gateway.stores import require_replica_set
from shared.secret_rules import SettingsError


def settings_or_end() -> Settings:
    """Return the settings; a wrong one ends the command with its name."""
    try:
        return read_settings()
    except (SettingsError, OSError) as error:
        raise click.ClickException(f"wrong setting: {error}") from error


def end_without_replica_set(settings: Settings, *, whole: bool = True) -> None:
    """End the command if MongoDB is there and has no transactions, or is half restored; it may also come later."""
    try:
        require_replica_set(settings, whole=whole)
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def refuse_taken(name: str, host: str, port: int) -> None:
    """Raise ClickException if something listens on the port already.

    granian would share the port with it without a word, mongod would end without one.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"the {name} cannot listen on {host}:{port}: {error.strerror}") from None
