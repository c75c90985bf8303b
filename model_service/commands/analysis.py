"""``drift`` and ``preview``: what a version makes of the customers in a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from model_service.commands.analysis_text import drift_text, preview_text
from model_service.durable_files import rfc3339
from model_service.registry_errors import RegistryError
from model_service.settings import SettingsError, load_settings
from shared.contract import MAX_COLUMNAR
from shared.features import INPUT_NAMES
from shared.model_contract import ACTIVE

# Commands import what loads scikit-learn or pandas themselves, so that the others start at once.
if TYPE_CHECKING:
    from model_service.pipeline import Matrix
    from model_service.predictor import Predictor

_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_in_store = click.option(
    "--store", type=click.Path(file_okay=False, path_type=Path), help="Model store; MODEL_STORE by default."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the HTTP interface answers it.")


@click.command()
@_file
@click.option("--version", default=ACTIVE, show_default=True, help="The version with whose training to compare.")
@_in_store
@_as_json
def drift(file: Path, version: str, store: Path | None, as_json: bool) -> None:
    """Say whether the customers in FILE (CSV or Parquet) are still those that a version was trained on."""
    from model_service.analysis.drift import DriftCounter

    with _telling():
        counter = DriftCounter(_predictor(store, version))
        for columns, _ in _blocks(file):
            counter.add(columns)
    found = counter.result(rfc3339(datetime.now(UTC)))
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2) if as_json else drift_text(found))


@click.command()
@click.argument("version")
@_file
@_in_store
@_as_json
def preview(version: str, file: Path, store: Path | None, as_json: bool) -> None:
    """Say which of the customers in FILE (CSV or Parquet) move if VERSION replaces the active one."""
    from model_service.analysis.preview import PreviewCounter

    with _telling():
        counter = PreviewCounter(_predictor(store, ACTIVE), _predictor(store, version))
        for columns, ids in _blocks(file):
            counter.add(columns, ids)
    found = counter.result(rfc3339(datetime.now(UTC)))
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2) if as_json else preview_text(found))


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    from model_service.training.errors import DataRefused

    try:
        yield
    except (RegistryError, SettingsError, DataRefused) as error:
        raise click.ClickException(str(error)) from error


def _predictor(directory: Path | None, version: str) -> Predictor:
    from model_service.artefact import reading
    from model_service.predictor import Predictor
    from model_service.registry import ModelStore

    store = ModelStore(directory or load_settings().model_store)
    name = store.active.read()["version"] if version == ACTIVE else version
    model = store.load(name)
    with reading(name):
        return Predictor(model, store.labels.usable())


def _blocks(file: Path) -> Iterator[tuple[dict[str, Matrix], list[str | None] | None]]:
    """Yield the faultless customers in `file`, by column and with their ids, and tell about the others."""
    from model_service.training.dataset import read_rows

    data, ids = read_rows(file)
    for note in data.notes:
        click.echo(f"note: {note}", err=True)
    for start in range(0, len(data.frame), MAX_COLUMNAR):
        part = slice(start, start + MAX_COLUMNAR)
        columns = {name: data.frame[name].to_numpy()[part] for name in INPUT_NAMES}
        yield columns, None if ids is None else ids[part]
