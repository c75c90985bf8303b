"""``python -m model_service.training_jobs.run FOLDER LOCK``: the process of a training that the service started.

`model_service.training_jobs.jobs` starts it; `model_service.commands.trainings` does the same work in the foreground.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from model_service.settings import Settings, SettingsError, load_store_settings
from model_service.store.active_file import UNKNOWN
from model_service.store.errors import GateRefused, RegistryError
from model_service.store.registry import ModelStore, open_store
from model_service.store.upkeep import prune
from model_service.training.errors import TrainingError
from model_service.training_jobs.folder import UNNAMED
from model_service.training_jobs.job import Job
from shared.model_contract import Progress
from shared.telemetry.logs import described, described_traceback

if TYPE_CHECKING:
    from model_service.store.manifest import Manifest
    from model_service.training.dataset import TrainingData

log = logging.getLogger("model_service.training")  # __name__ is "__main__" in the process of a training

WRITE_SECONDS = 0.5
"""Least time between two records of progress."""

NICENESS = 10
"""The service in the same container goes first."""


class TrainingTask(NamedTuple):
    """What a training needs beside its record.

    Attributes
    ----------
    most_rows : customers that are held in memory at most.
    keep : newest versions that are left, beside all that were ever active; None for all.
    currency : of the amounts in report and plots, a code in ISO 4217 or nothing.
    force : a reason to overrule the gate.
    """

    store: ModelStore
    data: Path
    most_rows: int
    keep: int | None
    currency: str
    force: str | None

    @classmethod
    def by(cls, settings: Settings, store: ModelStore, data: Path, force: str | None = None) -> TrainingTask:
        """Return the task by the settings."""
        return cls(store, data, settings.max_training_rows, settings.model_keep_versions, settings.currency, force)


class Outcome(NamedTuple):
    """The version that was stored, and why it was not activated though it should have been."""

    manifest: Manifest
    refused: str | None


class RecordedProgress:
    """Writes how far a training is into its record and its log."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._now = Progress(phase="", done=0, total=0)
        self._written = 0.0

    def expect(self, total: int) -> None:
        """Say how many units of work there are in all."""
        self._now["total"] = total

    def phase(self, name: str) -> None:
        """Say which phase begins."""
        log.info("%s", name)
        self._now["phase"] = name
        self._write()

    def tick(self) -> None:
        """Count one more unit of work; it is written when the last writing is a while ago."""
        self._now["done"] += 1
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self._write()

    def _write(self) -> None:
        self._job.report(Progress(**self._now))
        self._written = time.monotonic()


def log_formatter() -> logging.Formatter:
    """Return how a line of a training's log looks: its time (UTC), then what is said."""
    formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    return formatter


def perform(job: Job, order: TrainingTask, progress: RecordedProgress) -> Outcome:
    """Read the data, train, store the version, activate it if asked to, and write the end into the record.

    Raises
    ------
    TrainingError, RegistryError, OSError, MemoryError
        what went wrong is on record then.
    """
    with _failure_recorded(job, order):
        # Imported here, so that a request to cancel is heard while they load.
        from model_service.training.dataset import read_customers

        models = order.store
        with models.training_lock():
            job.start()
            progress.phase("reading the data")
            options = job.record["options"]
            data = _described(read_customers(order.data, options.get("columns"), order.most_rows), job)
            for note in data.notes:
                log.warning("note: %s", note)
            done = _train(job, models, data, order, progress)
            _prune(models, order.keep)
        job.finish("completed", done.refused, activated=job.record["options"]["activate"] and done.refused is None)
        return done


def _described(data: TrainingData, job: Job) -> TrainingData:
    """Call the customers what they are: stored ones come from no file, so that they have no line in one either."""
    record = job.record
    source = data.source.copy()
    source["name"] = UNNAMED.get(record["data"], record["data"])
    if not record.get("stored"):
        return dataclasses.replace(data, source=source)
    source["stored_at"] = record["created_at"]
    return dataclasses.replace(data, source=source, notes=[*map(_without_line, data.notes)], lines=None)


def _without_line(text: str) -> str:
    """Take the lines of a file that nobody knows out of a text."""
    return re.sub(r"^(line|row) \d+: ", "a stored customer: ", text, flags=re.MULTILINE)


@contextlib.contextmanager
def _failure_recorded(job: Job, order: TrainingTask) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        job.finish("cancelled", "Stopped with Ctrl-C.")
        raise
    except BaseException as error:
        reason = _without_places(_in_the_words_of_the_caller(_reason(error), job, order), order)
        job.finish("failed", reason)
        log.info("failed: %s", reason)
        raise


def _reason(error: BaseException) -> str:
    if isinstance(error, TrainingError | RegistryError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"Out of memory: {error}".rstrip(": ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"Unexpected error, see the log: {described(error)}."  # its text may quote a customer


def _in_the_words_of_the_caller(reason: str, job: Job, order: TrainingTask) -> str:
    """Call the file as the caller does who sent it; stored customers come from none of the caller's."""
    if not job.record.get("stored"):
        return reason.replace(order.data.name, job.record["data"])
    reason = _without_line(reason).replace(order.data.name, "the file of stored customers")
    return reason[:1].upper() + reason[1:]


def _without_places(reason: str, order: TrainingTask) -> str:
    """Leave out where files lie: that concerns no client of the service."""
    for place in filter(Path.is_absolute, (order.data.parent, order.store.directory)):
        reason = reason.replace(f"{place}{os.sep}", "").replace(str(place), "…")
    return reason


def _train(
    job: Job, models: ModelStore, data: TrainingData, order: TrainingTask, progress: RecordedProgress
) -> Outcome:
    from model_service.report.document import write
    from model_service.training.summary import summary
    from model_service.training.trainer import Options, train_version

    given = job.record["options"]
    options = Options(ks=tuple(range(given["k_min"], given["k_max"] + 1)), seed=given["seed"])
    progress.expect(options.work_units())
    note = job.record["note"]

    def draw(folder: Path, manifest: Manifest, data: TrainingData, parent: Manifest | None) -> None:
        write(folder, manifest, data, parent, note, order.currency)

    manifest = train_version(models, data, options, progress, draw)
    version = manifest["version"]
    job.commit(version)
    log.info("%s\n\nstored as %s", summary(manifest), version)
    return Outcome(manifest, _activate(job, models, version, order.force) if given["activate"] else None)


def _activate(job: Job, models: ModelStore, version: str, force: str | None) -> str | None:
    """Make the version the active one; return why not when the gate refuses it."""
    reason = force or job.record["note"] or "trained"
    try:
        models.activate(version, reason, job.record["by"] or UNKNOWN, force=force is not None)
    except GateRefused as error:
        log.info("not activated: %s", error)
        return str(error)
    log.info("activated")
    return None


def _prune(models: ModelStore, keep: int | None) -> None:
    """Delete what is beyond the retention, if there is one; should that fail, the training has not."""
    if keep is None:
        return
    try:
        for version in prune(models, keep):
            log.info("deleted version %s (MODEL_KEEP_VERSIONS)", version)
    except RegistryError as error:
        log.warning("versions beyond MODEL_KEEP_VERSIONS cannot be deleted: %s", error)


def main() -> None:
    """Do the job in the folder and with the lock that the command line names."""
    path, lock = Path(sys.argv[1]), int(sys.argv[2])
    job = Job.adopt(path, lock)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(log_formatter())
    logging.basicConfig(handlers=[handler])
    sys.excepthook = lambda _kind, error, _trace: log.critical("%s", described_traceback(error))
    log.setLevel(logging.INFO)
    job.watch(_stop)
    _give_way()
    try:
        settings = load_store_settings()
        task = TrainingTask.by(settings, open_store(settings, path.parent.parent), job.folder.upload())
        perform(job, task, RecordedProgress(job))
    except SettingsError as error:
        job.finish("failed", str(error))
        sys.exit(1)
    except (TrainingError, RegistryError, OSError, MemoryError):
        sys.exit(1)  # it is on record; of anything else the log gets the traceback


def _stop() -> None:
    log.info("cancelled on request")
    os._exit(1)  # the fits cannot be interrupted; what they leave, the next training clears away


def _give_way() -> None:
    """Let the service in the same container go first, for the processors and when memory runs out."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # not on every system
        Path("/proc/self/oom_score_adj").write_text("500")


if __name__ == "__main__":
    main()
