"""The folder of one training.

::

    <store>/trainings/<id>/record.json        `shared.model_contract.Training`
    <store>/trainings/<id>/log.txt            its log
    <store>/trainings/<id>/upload.{csv,tsv,ndjson,parquet}   the customers, until the training has ended
    <store>/trainings/<id>/lock               locked by the training for as long as its process lives
    <store>/trainings/<id>/cancel             asks the training to stop
"""

from __future__ import annotations

import fcntl
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import orjson

from model_service.store.files import moment_of, replace_files, rfc3339
from shared.model_contract import CSV, NDJSON, PARQUET, TSV, Progress, Training, TrainingOptions

UPLOADS = {CSV: "upload.csv", TSV: "upload.tsv", NDJSON: "upload.ndjson", PARQUET: "upload.parquet"}
"""How an upload is called in its folder, by its media type."""

UNNAMED = {
    "upload.csv": "an uploaded CSV file",
    "upload.tsv": "an uploaded file of tab-separated values",
    "upload.ndjson": "an uploaded NDJSON file",
    "upload.parquet": "an uploaded Parquet file",
}
"""How the report calls one whose name nobody said."""

ENDED = frozenset({"completed", "failed", "cancelled"})


class Folder:
    """Where everything about one training lies; `path` ends with the training's id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.record = path / "record.json"
        self.log = path / "log.txt"
        self.lock = path / "lock"
        self.cancel = path / "cancel"

    def read(self) -> Training:
        """Return the record; for a damaged one a record that says so."""
        try:
            record = orjson.loads(self.record.read_bytes())
            known = Training.__required_keys__ <= set(record) <= set(Training.__annotations__)
            if known and record["id"] == self.id:
                return cast(Training, record)
        except (OSError, ValueError, TypeError):
            pass  # damaged: answered below
        return unreadable(self.id)

    def write(self, record: Training) -> None:
        """Replace the record at once; there must be one writer at a time."""
        replace_files(orjson.dumps(record, option=orjson.OPT_INDENT_2), self.record)

    def create_lock(self) -> int:
        """Lock a new folder; the descriptor may be inherited, and the lock lives as long as any copy of it."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor

    def is_locked(self) -> bool:
        """Whether a process lives that works in this folder."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that readers who look at the same time do not take each other for the training.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def upload(self) -> Path:
        """Return the file with the customers.

        Raises
        ------
        StopIteration
            when there is none.
        """
        return next(path for name in UPLOADS.values() if (path := self.path / name).exists())

    def delete_upload(self) -> None:
        """Delete the customers: they are personal data."""
        for name in UPLOADS.values():
            (self.path / name).unlink(missing_ok=True)


def new_record(
    identity: str, by: str, note: str, options: TrainingOptions, data: str, size: int, stored: bool = False
) -> Training:
    """Return the record of a training that waits for its process.

    Parameters
    ----------
    data : the name of the file, or what else its customers are.
    stored : they are the customers stored in the gateway.
    """
    return Training(
        id=identity,
        status="queued",
        created_at=now(),
        started_at=None,
        finished_at=None,
        by=by,
        note=note,
        options=options,
        data=data,
        stored=stored,
        bytes=size,
        progress=Progress(phase="waiting to start", done=0, total=0),
        version=None,
        activated=False,
        reason=None,
    )


def unreadable(identity: str) -> Training:
    """Return what is known of a training whose record is damaged; its id contains the time at which it was made."""
    record = new_record(identity, "", "", TrainingOptions(k_min=0, k_max=0, seed=0, activate=False), "", 0)
    record["status"], record["reason"] = "failed", "The record of this training cannot be read."
    record["created_at"], record["progress"]["phase"] = moment_of(identity), ""
    return record


def now() -> str:
    """Return the time as records have it."""
    return rfc3339(datetime.now(UTC))


ERASED = "[erased]"
"""Stands where an id stood."""


QUOTED = 40
"""Characters of a cell that trainings of earlier versions quoted at most, so that a longer id may be cut off."""
_RECOGNISABLE = 8
"""Characters of an id that say whose it is, though the rest of it was cut off."""
_QUOTE = re.compile(rf"(?<=')[^'\n]{{{QUOTED}}}(?=')|(?<=\")[^\"\n]{{{QUOTED}}}(?=\")")


def without(text: str, cust_id: str) -> str:
    """Return `text` with `ERASED` wherever the whole id stands, or a quote was cut off within it.

    A dot after it may end a sentence.
    """
    whole = rf"(?<![A-Za-z0-9_.-]){re.escape(cust_id)}(?![A-Za-z0-9_-]|\.[A-Za-z0-9_.-])"
    return _QUOTE.sub(lambda quote: _without_beginning(quote[0], cust_id), re.sub(whole, ERASED, text))


def _without_beginning(quote: str, cust_id: str) -> str:
    """Return a quote that may have been cut off with `ERASED` where it ends in the beginning of the id."""
    for length in range(min(len(cust_id) - 1, QUOTED), _RECOGNISABLE - 1, -1):
        before = quote[:-length]
        if quote.endswith(cust_id[:length]) and not re.search(r"[A-Za-z0-9_.-]$", before):
            return before + ERASED
    return quote


def erase(folder: Folder, cust_id: str) -> int:
    """Take the id out of the record and of the log of a training that has ended; return in how many it stood."""
    return _erase_from_record(folder, cust_id) + _erase_from_log(folder, cust_id)


def _erase_from_record(folder: Folder, cust_id: str) -> int:
    record = folder.read()
    note, by = without(record["note"], cust_id), without(record["by"], cust_id)
    reason = record["reason"] and without(record["reason"], cust_id)
    if (note, by, reason) == (record["note"], record["by"], record["reason"]):
        return 0
    record["note"], record["by"], record["reason"] = note, by, reason
    folder.write(record)
    return 1


def _erase_from_log(folder: Folder, cust_id: str) -> int:
    try:
        said = folder.log.read_bytes().decode("utf-8", "surrogateescape")  # a killed process may end in mid-character
    except FileNotFoundError:
        return 0
    left = without(said, cust_id)
    if left == said:
        return 0
    replace_files(left.encode("utf-8", "surrogateescape"), folder.log)
    return 1
