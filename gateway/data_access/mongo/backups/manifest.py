"""The manifest of a backup, ``manifest.json`` in its folder: what is in it, and of which moment.

It is written last, and a folder without one is no backup.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final, NoReturn, TypedDict

import msgspec

from gateway.services.backups import BackupError, Progress

FORMAT: Final = 1
"""Versions of the format that this code reads and writes."""
MANIFEST: Final = "manifest.json"


class Part(TypedDict):
    """A collection in a backup.

    Attributes
    ----------
    bytes, sha256 : of its file, as it is on the disk.
    """

    documents: int
    bytes: int
    sha256: str


class Manifest(TypedDict):
    """What a backup consists of.

    Attributes
    ----------
    id : its own id, which begins with when it was taken.
    cluster_time : seconds and increment of the cluster's time when the moment was chosen.
    secret : a mark of the GATEWAY_SECRET_KEY under which ids of erased customers were digested; not the secret.
    position : that of the last entry of the change log.
    collections : by name; the file of each is `file_of`.
    """

    format: int
    id: str
    taken_at: datetime
    cluster_time: tuple[int, int]
    database: str
    secret: str
    position: int
    collections: dict[str, Part]


class _AnyFormat(TypedDict):
    format: int


def file_of(folder: Path, collection: str) -> Path:
    """Return the file of a collection."""
    return folder / f"{collection}.bson.gz"


def read_manifest(folder: Path, known: Collection[str]) -> Manifest:
    """Return the manifest of a backup that this code can restore.

    Raises
    ------
    BackupError
    """
    try:
        raw = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST}, which is written last") from None
    except OSError as error:
        _unreadable(folder / MANIFEST, error)
    try:
        written = msgspec.json.decode(raw, type=_AnyFormat)["format"]
        if written != FORMAT:
            raise BackupError(f"{folder} has format {written}, and this version reads {FORMAT}: restore by its own")
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupError(f"{folder / MANIFEST} is damaged: {error}") from error
    if unknown := sorted(set(manifest["collections"]) - set(known)):
        raise BackupError(
            f"{folder} has collections that this version does not know ({', '.join(unknown)}): restore it by the "
            "version that took it, then upgrade"
        )
    return manifest


def check_files(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Read all files, and make sure that they are what was written.

    Raises
    ------
    BackupError
    """
    for name, part in manifest["collections"].items():
        path = file_of(folder, name)
        try:
            size = path.stat().st_size
            if size != part["bytes"]:
                raise BackupError(f"{path} is damaged: it has {size} bytes and had {part['bytes']}")
            with path.open("rb", buffering=0) as file:
                digest = file_digest(file, "sha256").hexdigest()
        except OSError as error:
            _unreadable(path, error)
        if digest != part["sha256"]:
            raise BackupError(f"{path} is damaged: its SHA-256 is not that of the manifest")
        progress(f"checking {name}", size)


def _unreadable(path: Path, error: OSError) -> NoReturn:
    raise BackupError(f"{path} cannot be read: {error.strerror}") from error
