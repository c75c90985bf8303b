"""All trainings of a model store: which there are, which one runs, and how another one begins."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from model_service.store.artefact import rewrite_note
from model_service.store.errors import StoreNotWritable, TrainingEnded, TrainingNotFound, TrainingRunning
from model_service.store.files import exclusive, fsync
from model_service.store.versions import Versions, clear_drafts, writable
from model_service.training_jobs.folder import ENDED, Folder, erase, new_record, now, without
from model_service.training_jobs.job import Job
from shared.model_contract import Training, TrainingOptions

log = logging.getLogger(__name__)

KEPT = 50
"""Records that are kept; older ones are deleted."""

PROCESS_DIED = "The training process ended without a result; it may have been killed or have run out of memory."

_id = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{4}")
_DRAFT = ".draft-"


class Draft:
    """A folder that is being filled with customers, hidden until its training begins, and locked from the start."""

    def __init__(self, folder: Folder) -> None:
        folder.path.mkdir()
        self.folder = folder
        self.lock = folder.create_lock()


class TrainingJobs:
    """The trainings in a model store, which need not exist yet; any number of processes may use it at once."""

    def __init__(self, store: Path) -> None:
        self._store = store.absolute()
        self.directory = self._store / "trainings"

    def records(self) -> list[Training]:
        """Return all records, newest first; a damaged one is among them as failed."""
        return [self._settled(folder) for folder in self._folders()]

    def get(self, identity: str) -> Training:
        """Return one record.

        Raises
        ------
        TrainingNotFound
        """
        return self._settled(self._folder(identity))

    def log(self, identity: str) -> bytes:
        """Return what a training has said so far, UTF-8.

        Raises
        ------
        TrainingNotFound
        """
        with contextlib.suppress(FileNotFoundError):
            return self._folder(identity).log.read_bytes()
        return b""

    def cancel(self, identity: str) -> Training:
        """Ask a training to stop, wherever its process runs; it does so within a second.

        Raises
        ------
        TrainingNotFound, TrainingEnded
        """
        record = self.get(identity)
        if record["status"] in ENDED:
            raise TrainingEnded(f"Training {identity} has already ended: {record['status']}.")
        self._folder(identity).cancel.touch()
        return record

    def is_running(self) -> bool:
        """Whether a training is queued or running: if one is, it is the newest."""
        newest = next(self._folders(), None)
        return newest is not None and newest.is_locked() and newest.read()["status"] not in ENDED

    def refuse_second(self) -> None:
        """Do nothing unless a training is queued or running.

        Raises
        ------
        TrainingRunning
        """
        for record in self.records():
            if record["status"] not in ENDED:
                raise TrainingRunning(
                    f"Training {record['id']} is {record['status']}; wait for it to end, or cancel it."
                )

    def erase(self, cust_id: str) -> int:
        """Take a customer's id out of all records, logs and notes in reports; return how many quoted it.

        Raises
        ------
        TrainingRunning
            while there is a file of customers, which may hold this one and be quoted later.
        StoreNotWritable
        """
        if not self.directory.is_dir():  # as where versions were brought from elsewhere
            return self._erase_from_reports(cust_id)
        with self._alone():
            self.refuse_second()
            if any(Folder(path).is_locked() for path in self.directory.glob(f"{_DRAFT}*")):
                raise TrainingRunning(
                    "The customers of another training are being uploaded; try again when it has ended."
                )
            return self._erase_from_reports(cust_id) + sum(erase(folder, cust_id) for folder in self._folders())

    def _erase_from_reports(self, cust_id: str) -> int:
        versions = Versions(self._store)
        paths = [self._store / version for version in versions.versions()]
        if not paths:
            return 0
        with writable(self._store):
            return sum(rewrite_note(path, lambda note: without(note, cust_id)) for path in paths)

    def draft(self) -> Draft:
        """Make a folder for the customers of a training to come.

        Raises
        ------
        StoreNotWritable
        """
        with self._alone():
            return Draft(Folder(self.directory / f"{_DRAFT}{secrets.token_hex(8)}"))

    def discard(self, draft: Draft) -> None:
        """Leave nothing of a draft behind."""
        with self._alone():
            shutil.rmtree(draft.folder.path)
        os.close(draft.lock)

    def begin(
        self, draft: Draft, by: str, note: str, options: TrainingOptions, data: str, size: int, stored: bool = False
    ) -> Job:
        """Turn a draft into a queued training, or discard it; over all processes, one succeeds at a time.

        Raises
        ------
        TrainingRunning, StoreNotWritable
        """
        try:
            with self._alone():
                self.refuse_second()
                identity = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(2)}"
                folder = Folder(self.directory / identity)
                record = new_record(identity, by, note, options, data, size, stored)
                draft.folder.write(record)
                draft.folder.path.rename(folder.path)
        except BaseException:
            self.discard(draft)
            raise
        fsync(self.directory)
        self.tidy()
        return Job(folder, draft.lock, record)

    def tidy(self) -> None:
        """Delete what dead processes left of other people's data, and the oldest records.

        A store that cannot be written may still be served: that is said in the log only.
        """
        if not self.directory.is_dir():
            return
        try:
            with self._alone():
                self._delete_abandoned()
                self._delete_oldest()
            self.clear_drafts()
        except StoreNotWritable as error:
            log.warning("leftovers of trainings in %s cannot be removed: %s", self.directory, error)

    def clear_drafts(self) -> None:
        """Delete the version that a dead training left half written, unless another training runs."""
        try:
            clear_drafts(self._store)
        except OSError as error:
            log.warning("the unfinished version of a training in %s cannot be removed: %s", self._store, error)

    def _delete_abandoned(self) -> None:
        for path in self.directory.glob(f"{_DRAFT}*"):
            if not Folder(path).is_locked():
                shutil.rmtree(path)
        for folder in self._folders():
            if not folder.is_locked():
                folder.delete_upload()

    def _delete_oldest(self) -> None:
        records = self.records()
        for record in records[KEPT:]:
            if record["status"] in ENDED:
                shutil.rmtree(self.directory / record["id"])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes and threads away while drafts are made and trainings begin: some milliseconds."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with exclusive(self.directory / ".lock"):
                yield
        except OSError as error:
            raise StoreNotWritable(f"The model store cannot be written: {error.strerror}.") from error

    def _folders(self) -> Iterator[Folder]:
        if self.directory.is_dir():
            names = (path.name for path in self.directory.iterdir() if path.is_dir())
            for name in sorted(filter(_id.fullmatch, names), reverse=True):
                yield Folder(self.directory / name)

    def _folder(self, identity: str) -> Folder:
        folder = Folder(self.directory / identity)
        if not _id.fullmatch(identity) or not folder.path.is_dir():
            raise TrainingNotFound(f"There is no training {identity!r}.")
        return folder

    def _settled(self, folder: Folder) -> Training:
        """Return a folder's record; that of a training whose process has died, as failed."""
        record = folder.read()
        if record["status"] in ENDED or folder.is_locked():
            return record
        record = _vanished(folder)
        self.clear_drafts()
        return record


def _vanished(folder: Folder) -> Training:
    """Return, and keep, the end of a training whose lock nobody holds any more."""
    record = folder.read()  # again: now it is what its process wrote last
    if record["status"] in ENDED:
        return record
    record["status"], record["reason"], record["finished_at"] = "failed", PROCESS_DIED, now()
    try:
        with exclusive(folder.path / ".ending.lock"):  # other readers may have found out, too
            if folder.read()["status"] not in ENDED:
                folder.delete_upload()
                folder.write(record)
    except OSError as error:  # a full or read-only disk must not hide what is known
        log.warning("the end of training %s cannot be recorded: %s", folder.id, error)
    return record


PROGRAM = "model_service.training_jobs.run"


def start_process(jobs: TrainingJobs, job: Job, ended: Callable[[str], None]) -> None:
    """Start the process that does `job`; when that cannot be done, the job has failed.

    The process inherits the lock and outlives this one.

    Parameters
    ----------
    ended : is told how the training ended, unless this process ends before.
    """
    command = [sys.executable, "-m", PROGRAM, str(job.folder.path), str(job.lock)]
    try:
        with job.folder.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[job.lock],
            )
    except OSError as error:
        job.finish("failed", f"The training process could not be started: {error.strerror}.")
        ended("failed")
        return
    job.release()
    # A thread, because it must not keep the server from stopping, as a task of the event loop would.
    threading.Thread(target=_reap, args=[process, jobs, job.folder.id, ended], daemon=True).start()


def _reap(process: subprocess.Popen[bytes], jobs: TrainingJobs, identity: str, ended: Callable[[str], None]) -> None:
    process.wait()
    with contextlib.suppress(TrainingNotFound):
        # Should it have died, then that is recorded and its customers are deleted.
        ended(jobs.get(identity)["status"])
    jobs.clear_drafts()  # one that was cancelled could not do so itself
