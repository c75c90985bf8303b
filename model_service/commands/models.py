"""The registry's commands: list, show, judge, activate, roll back, and name segments."""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import orjson
from pydantic import ValidationError

from model_service.commands.text import TEXT
from model_service.settings import SettingsError, load_store_settings
from model_service.store.errors import RegistryError
from model_service.store.labels import LabelPatch
from model_service.store.registry import ModelStore, open_store
from shared.model_contract import Activation


def _store(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> ModelStore:
    try:
        return open_store(load_store_settings(), path)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


in_store = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_store,
    help="Model store; MODEL_STORE by default.",
)
"""The option by which a command gets the model store."""
_reason = click.option("--reason", type=TEXT, default="", help="Why, for the record.")
_by = click.option("--by", type=TEXT, default=_user, help="Who, for the record; the user of the system by default.")


@contextlib.contextmanager
def errors_shown() -> Iterator[None]:
    """Show what is wrong with the model store as a command shows it."""
    try:
        yield
    except RegistryError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@in_store
def models(store: ModelStore) -> None:
    """List all versions, newest first."""
    from model_service.store.description import list_versions

    rows = [
        (
            entry["version"],
            entry["status"],
            str(entry["k"] or "-"),
            str(entry["rows"] or "-"),
            entry["created_at"],
            entry["data"] or "-",
        )
        for entry in list_versions(store)["items"]
    ]
    _table([("VERSION", "STATUS", "K", "ROWS", "CREATED", "DATA"), *rows])


@click.command()
@click.argument("version")
@in_store
def show(version: str, store: ModelStore) -> None:
    """Print everything about VERSION as JSON."""
    from model_service.store.description import describe_version

    with errors_shown():
        click.echo(orjson.dumps(describe_version(store, version), option=orjson.OPT_INDENT_2))


@click.command()
@click.argument("version")
@in_store
def gate(version: str, store: ModelStore) -> None:
    """Say whether VERSION may replace the active one; the exit status is 1 if not."""
    with errors_shown():
        found = store.gate(version)
    _table([("pass" if c["passed"] else "FAIL", c["check"], c["detail"]) for c in found["checks"]])
    against = f"replace {found['against']}" if found["against"] else "become the active version"
    click.echo(f"{version} {'may' if found['passed'] else 'may not'} {against}")
    if not found["passed"]:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("version")
@_reason
@_by
@click.option("--force", is_flag=True, help="Activate it even if the gate refuses; needs --reason.")
@in_store
def activate(version: str, reason: str, by: str, force: bool, store: ModelStore) -> None:
    """Activate VERSION; every running server follows by itself."""
    with errors_shown():
        _say(store.activate(version, reason, by, force))


@click.command()
@_reason
@_by
@in_store
def rollback(reason: str, by: str, store: ModelStore) -> None:
    """Go back to the version that was active before; repeated, to the one before that."""
    with errors_shown():
        _say(store.rollback(reason, by))


@click.command(name="history")
@in_store
def activations(store: ModelStore) -> None:
    """List all activations and rollbacks, newest first."""
    from model_service.store.description import history

    with errors_shown():
        entries = history(store)
    rows = [(e["at"], _what(e), e["version"], e["by"], " ".join(e["reason"].split())) for e in entries]
    _table([("AT", "WHAT", "VERSION", "BY", "REASON"), *rows])


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@in_store
def backup(folder: Path, store: ModelStore) -> None:
    """Copy the store into a new FOLDER, while everything runs; after `python -m gateway backup`, not before.

    To restore it, copy what is in FOLDER into an empty MODEL_STORE while no model service runs.
    """
    from model_service.store.upkeep import back_up

    try:
        versions = back_up(store, folder)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror or error}") from error
    click.echo(f"{folder}: {len(versions)} versions")


def _what(entry: Activation) -> str:
    return f"{entry['kind']} (forced)" if entry["forced"] else entry["kind"]


@click.command()
@click.argument("segment")
@click.option("--name", type=TEXT, help="Its name; empty for the derived one.")
@click.option("--description", type=TEXT, help="Its description; empty for none.")
@click.option("--owner", type=TEXT, help="Who is responsible for it; empty for nobody.")
@click.option("--action", "actions", type=TEXT, multiple=True, help="What to do for it; empty for the derived ones.")
@_by
@in_store
def label(segment: str, store: ModelStore, by: str, actions: Sequence[str], **given: str | None) -> None:
    """Name SEGMENT (such as seg-01), describe it, say who owns it, or what to do for it."""
    from model_service.store.labelling import relabel

    changes: dict[str, object] = {member: text.strip() or None for member, text in given.items() if text is not None}
    if actions:
        changes["actions"] = [text for text in map(str.strip, actions) if text] or None
    try:
        patch = LabelPatch.model_validate({**changes, "by": by})
    except ValidationError as error:
        faults = "; ".join(f"--{e['loc'][0]}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        raise click.ClickException(faults) from error
    with errors_shown():
        click.echo(orjson.dumps(relabel(store, segment, patch), option=orjson.OPT_INDENT_2))


def _say(entry: Activation) -> None:
    click.echo(f"{entry['version']} has been the active model since {entry['at']}")


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


COMMANDS: tuple[click.Command, ...] = (models, show, gate, activate, rollback, activations, label, backup)
