"""A training as the process that owns it sees it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from model_service.training_jobs.folder import Folder, now
from shared.model_contract import Progress, Training

End = Literal["completed", "failed", "cancelled"]

LOOK_SECONDS = 0.3
"""How often a training looks whether it should stop."""


class Job:
    """Holds a training's lock and is the only one to write its record.

    Whichever end comes first counts: once `finish` or `cancel` has written it, nothing is changed any more. The lock
    may be inherited by a child process, which takes the job over (`adopt`); whatever kills the last holder releases
    it, and that is how readers know.

    Parameters
    ----------
    lock : descriptor of the folder's lock file, locked.
    """

    def __init__(self, folder: Folder, lock: int, record: Training) -> None:
        self.folder = folder
        self.lock = lock
        self.record = record
        self.ended = threading.Event()
        self._mutex = threading.RLock()
        self._committed = False

    @classmethod
    def adopt(cls, path: Path, lock: int) -> Job:
        """Take over the job in the folder `path` from the parent process, with its lock."""
        os.set_inheritable(lock, False)
        folder = Folder(path)
        return cls(folder, lock, folder.read())

    def start(self) -> None:
        """Say that the work begins."""
        with self._mutex:
            self.record["status"], self.record["started_at"] = "running", now()
            self._write()

    def report(self, progress: Progress) -> None:
        """Say how far it is."""
        with self._mutex:
            self.record["progress"] = progress
            self._write()

    def commit(self, version: str) -> None:
        """Say which version was stored; from now on it is too late to cancel."""
        with self._mutex:
            self._committed = True
            self.record["version"] = version
            self._write()

    def finish(self, status: End, reason: str | None = None, activated: bool = False) -> None:
        """Delete the customers, write the end into the record and release the lock, once."""
        with self._mutex:
            if self.ended.is_set():
                return
            self.folder.delete_upload()
            self.record["status"], self.record["finished_at"] = status, now()
            self.record["reason"], self.record["activated"] = reason, activated
            self._write()
            self.release()

    def cancel(self, reason: str) -> bool:
        """End as cancelled unless it is too late; say whether it was done."""
        with self._mutex:
            if self._committed or self.ended.is_set():
                return False
            self.finish("cancelled", reason)
            return True

    def release(self) -> None:
        """Close this process's copy of the lock."""
        self.ended.set()
        os.close(self.lock)

    def _write(self) -> None:
        if not self.ended.is_set():
            self.folder.write(self.record)

    def watch(self, cancelled: Callable[[], object]) -> None:
        """Look for a request to cancel, in a thread: the main one may be deep inside a fit.

        `cancelled` is called when the training has been ended so; it should end the process.
        """
        threading.Thread(target=self._watch, args=[cancelled], daemon=True).start()

    def _watch(self, cancelled: Callable[[], object]) -> None:
        while not self.ended.wait(LOOK_SECONDS):
            if self.folder.cancel.exists() and self.cancel("cancelled on request"):
                cancelled()
