"""The small file that says which model version is active, and the history of that."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import orjson

from model_service.registry_errors import ArtefactDamaged, NoActiveModel


class Activation(TypedDict):
    """One entry in the history of activations."""

    version: str
    at: str
    reason: str


class ActiveRecord(TypedDict):
    """The content of ``active.json``; the history is oldest first and ends with the active version."""

    version: str
    history: list[Activation]


class ActiveFile:
    """Reads and replaces the file at `path`. There is one writer at a time; readers may be many."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> ActiveRecord:
        """Say which version is active.

        Raises
        ------
        NoActiveModel
            when nothing was activated yet.
        ArtefactDamaged
            when the file cannot be read.
        """
        try:
            record = orjson.loads(self.path.read_bytes())
            versions = [record["version"], *(entry["version"] for entry in record["history"])]
            if not all(isinstance(version, str) for version in versions):
                raise ValueError("a version is not a string")
            return ActiveRecord(version=record["version"], history=record["history"])
        except FileNotFoundError as error:
            raise NoActiveModel(f"no model is active in {self.path.parent}; train one first") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtefactDamaged(f"{self.path} cannot be read ({error!r})") from error

    def stamp(self) -> tuple[int, int] | None:
        """Return a value that changes whenever another version is activated; None before the first time."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_ino, found.st_mtime_ns

    def replace(self, version: str, reason: str) -> None:
        """Make `version` the active one.

        A reader, or a crash at any instant, sees the old content or the new, nothing between.
        """
        try:
            history = self.read()["history"]
        except NoActiveModel:
            history = []
        entry = Activation(version=version, at=rfc3339(datetime.now(UTC)), reason=reason)
        record = ActiveRecord(version=version, history=[*history, entry])
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".active-", delete=False) as file:
            file.write(orjson.dumps(record, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(self.path)
        fsync(self.path.parent)


def rfc3339(moment: datetime) -> str:
    """Return a UTC time as the API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def fsync(path: Path) -> None:
    """Make a file or directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
