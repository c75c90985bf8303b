"""``train``: from a file of customers to a new version, and to the active one."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from model_service.commands.text import TEXT, named_in_utf8
from model_service.settings import SettingsError, load_store_settings
from model_service.store.errors import ArtefactDamaged, NoActiveModel, RegistryError
from model_service.store.registry import ModelStore, open_store
from model_service.training.errors import TrainingError
from model_service.training_jobs.job import Job
from model_service.training_jobs.jobs import TrainingJobs
from model_service.training_jobs.run import Outcome, RecordedProgress, TrainingTask, log, log_formatter, perform
from shared.customer_files.columns_option import columns_option
from shared.model_contract import TrainingOptions

REFUSED = 4
"""Exit status when the version was stored and the gate refused to activate it."""

_K = click.IntRange(2, 20)


def _given(_context: click.Context, _parameter: click.Parameter, reason: str | None) -> str | None:
    if reason is not None and not reason.strip():
        raise click.BadParameter("a reason is required")
    return reason


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), callback=named_in_utf8)
@click.option("--k", type=_K, help="Use this number of segments instead of choosing one.")
@click.option("--k-min", type=_K, default=3, show_default=True, help="Smallest number to try.")
@click.option("--k-max", type=_K, default=8, show_default=True, help="Largest number to try.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Random seed.")
@click.option("--store", type=click.Path(file_okay=False, path_type=Path), help="Model store; MODEL_STORE by default.")
@click.option("--activate/--no-activate", default=True, show_default=True, help="Activate the new version.")
@click.option(
    "--force",
    metavar="REASON",
    type=TEXT,
    callback=_given,
    help="Activate it even if the gate refuses, for this reason.",
)
@click.option("--by", type=TEXT, default="command line", show_default=True, help="Who trains, for the record.")
@click.option("--note", type=TEXT, default="", help="Why, for the record.")
@columns_option
@click.option("--if-none", is_flag=True, help="Do nothing if the store has an active model already.")
def train(file: Path, store: Path | None, if_none: bool, k: int | None, **asked: Any) -> None:
    """Train a model on the customers in FILE (CSV, NDJSON or Parquet) and store it as a new version."""
    try:
        settings = load_store_settings()
        models = open_store(settings, store)
        if if_none and (there := _there(models)):
            click.echo(f"{there}: nothing to do")
            return
        job = _begin(models, file, _options(k, asked), asked)
        with _logged(job), _Bar(job) as progress:
            job.watch(_stop)
            done = perform(job, TrainingTask.by(settings, models, file, asked["force"]), progress)
    except (TrainingError, RegistryError, SettingsError, OSError, MemoryError) as error:
        raise click.ClickException(str(error) or repr(error)) from error
    _tell(done, models.directory, asked["activate"])


def _options(k: int | None, asked: dict[str, Any]) -> TrainingOptions:
    low, high = (k, k) if k is not None else (asked["k_min"], asked["k_max"])
    if low > high:
        raise click.BadParameter("is greater than --k-max", param_hint="--k-min")
    options = TrainingOptions(k_min=low, k_max=high, seed=asked["seed"], activate=asked["activate"])
    if asked["columns"]:
        options["columns"] = dict(asked["columns"])
    return options


def _there(models: ModelStore) -> str | None:
    """Say which model is active, or why that cannot be said; None when there never was one."""
    try:
        return f"{models.active.read()['version']} is the active model"
    except ArtefactDamaged as error:  # it had one: another in its place would be worse than none
        return str(error)
    except NoActiveModel:
        return None


def _begin(models: ModelStore, file: Path, options: TrainingOptions, asked: dict[str, Any]) -> Job:
    jobs = TrainingJobs(models.directory)
    return jobs.begin(jobs.draft(), asked["by"], asked["note"], options, file.name, file.stat().st_size)


def _tell(done: Outcome, directory: Path, activate: bool) -> None:
    from model_service.training.summary import summary

    version = done.manifest["version"]
    click.echo(summary(done.manifest))
    click.echo(f"stored as {version}{' and activated' if activate and not done.refused else ''} in {directory}")
    if done.refused:
        click.echo(f"not activated: {done.refused}", err=True)
        click.echo(
            f"to override: python -m model_service activate {version} --force --reason '…' --store {directory}",
            err=True,
        )
        sys.exit(REFUSED)


class _Bar(RecordedProgress):
    """Shows the progress as well."""

    def __enter__(self) -> _Bar:
        self._bar = tqdm(desc="training", unit="fit", leave=False, disable=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, total: int) -> None:
        super().expect(total)
        self._bar.total = total

    def phase(self, name: str) -> None:
        super().phase(name)
        self._bar.set_description(name)

    def tick(self) -> None:
        super().tick()
        self._bar.update()


class _Notes(logging.Handler):
    """Shows the notes about the data, above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(record.getMessage(), file=sys.stderr)


@contextlib.contextmanager
def _logged(job: Job) -> Iterator[None]:
    to_file = logging.FileHandler(job.folder.log)
    to_file.setFormatter(log_formatter())
    handlers = (to_file, _Notes(logging.WARNING))
    log.setLevel(logging.INFO)
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


def _stop() -> None:
    click.echo("\nError: The training was cancelled.", err=True)
    os._exit(1)  # the fits cannot be interrupted; what they leave, the next training clears away
