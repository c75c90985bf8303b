"""The commands of ``python -m gateway`` that are more than a few lines."""

from __future__ import annotations

import click

from gateway.settings import Settings, read_settings
from shared.secret_rules import SettingsError


def settings_or_end() -> Settings:
    """Return the settings; a wrong one ends the command with its name."""
    try:
        return read_settings()
    except (SettingsError, OSError) as error:
        raise click.ClickException(f"wrong setting: {error}") from error
