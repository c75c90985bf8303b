"""The option ``--columns`` of both tiers' commands; a module of its own because only they load click."""

from __future__ import annotations

import click

from shared.customer_files.header import COLUMNS_HELP, ColumnMapping, read_mapping


def _read(_context: click.Context, _parameter: click.Parameter, text: str | None) -> ColumnMapping | None:
    if text is None:
        return None
    try:
        return read_mapping(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


columns_option = click.option(
    "--columns",
    metavar="COLUMN:NAME,…",
    callback=_read,
    help=f"{COLUMNS_HELP}.",
)
"""Gives the command a parameter ``columns``, a `ColumnMapping` or None."""
