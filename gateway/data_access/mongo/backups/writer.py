"""Takes a backup: all collections as they were at one moment, each in a file, in constant memory.

The moment is a snapshot of the server's, in which reads outside of transactions can go on for as long as it keeps the
history (``minSnapshotHistoryWindowInSeconds``, 300 by default): nobody who writes waits, and a base that takes longer
to read is refused with what to do about it.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import secrets
import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Self, cast

import msgspec
from bson.errors import BSONError
from bson.timestamp import Timestamp
from pymongo import timeout
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from gateway.data_access.mongo.backups.manifest import FORMAT, MANIFEST, Manifest, Part, file_of
from gateway.data_access.mongo.backups.marker import RESTORES
from gateway.data_access.mongo.collection import SNAPSHOT, Document, store_errors
from gateway.services.backups import BackupError, Progress
from gateway.services.clock import now

PARTIAL: Final = ".partial"
"""What stands after the folder's name until the backup in it is complete."""
NOT_BACKED_UP: Final = ("rate_limits", "worker_state", "one_time_tokens", "ended_sessions", RESTORES)
"""Collections that only say how things are at the moment."""
_AT_ONCE = 4_000
_LEVEL = 1
"""Of gzip: a third of the time of its default for a tenth more bytes."""
_SCHEMA_CHANGED, _TOO_OLD = 246, 239
_ATTEMPTS, _PAUSE_SECONDS = 10, 0.2
_length = struct.Struct("<i")


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup to be taken.

    Attributes
    ----------
    names : of the collections; those that do not exist are left out.
    secret : see `Manifest`.
    """

    database: Database[Document]
    names: Sequence[str]
    secret: str

    def documents(self) -> int:
        """Return about how many documents there are.

        Raises
        ------
        StoreError
        """
        with store_errors():
            return sum(self.database[name].estimated_document_count() for name in self._existing())

    def others(self) -> list[str]:
        """Return the names of collections that nobody here knows, so that no backup has them.

        Raises
        ------
        StoreError
        """
        with store_errors():
            names = self.database.list_collection_names(filter={"name": {"$not": {"$regex": "^system[.]"}}})
        return sorted(set(names) - set(self.names) - set(NOT_BACKED_UP))

    def write(self, folder: Path, progress: Progress) -> Manifest:
        """Write all of it into a new folder, which gets its name when everything is there and on the disk.

        Raises
        ------
        BackupError
        """
        folder = folder.absolute()
        try:
            if folder.exists():
                raise BackupError(f"{folder} is there already: name a new folder")
            self._check_room(folder.parent)
            with _draft(folder) as draft:
                manifest = _written(self, draft, progress)
                draft.rename(folder)
            _fsync(folder.parent)
        except OSError as error:
            raise BackupError(f"{folder} cannot be written: {error.strerror}") from error
        except (PyMongoError, BSONError) as error:
            raise BackupError(_explained(error)) from error
        return manifest

    def _check_room(self, parent: Path) -> None:
        """Make sure that there is as much room as MongoDB takes for the same, which compresses less."""
        taken = sum(self.database.command("collStats", name)["storageSize"] for name in self._existing())
        free = shutil.disk_usage(parent).free
        if free < taken:
            raise BackupError(f"{parent} has {free / 1e6:,.0f} MB free, and a backup may take {taken / 1e6:,.0f} MB")

    def _existing(self) -> set[str]:
        return set(self.database.list_collection_names()) & set(self.names)


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside the wanted one to one process at a time; what a dead one left there is removed."""
    draft = folder.with_name(folder.name + PARTIAL)
    draft.mkdir(mode=0o700, exist_ok=True)
    held = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another backup is being written to {folder}") from None
        draft.chmod(0o700)
        _clear(draft)
        try:
            yield draft
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    finally:
        os.close(held)


def _clear(draft: Path) -> None:
    for path in draft.iterdir():
        path.unlink()


def _written(source: Backup, draft: Path, progress: Progress) -> Manifest:
    """Write all files; begin anew if the schema was changed meanwhile, which a snapshot does not outlive."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _attempt(source, draft, progress)
        except OperationFailure as error:
            if error.code != _SCHEMA_CHANGED:
                raise
        _clear(draft)
        time.sleep(_PAUSE_SECONDS)
    return _attempt(source, draft, progress)


def _attempt(source: Backup, draft: Path, progress: Progress) -> Manifest:
    database, taken_at = source.database.with_options(read_concern=SNAPSHOT), now()
    with timeout(0), database.client.start_session(snapshot=True) as session:
        log = database["counters"].find_one({"_id": "changes"}, session=session)
        moment: Timestamp = (session.cluster_time or {})["clusterTime"]
        # After the moment was chosen: a collection that came into being later is met by the server's refusal.
        existing = set(database.list_collection_names())
        parts = {name: _write(database, session, name, draft, progress) for name in source.names if name in existing}
    manifest = Manifest(
        format=FORMAT,
        id=f"{taken_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        taken_at=taken_at,
        cluster_time=(moment.time, moment.inc),
        database=database.name,
        secret=source.secret,
        position=int(log["position"]) if log else 0,
        collections=parts,
    )
    with _File(draft / MANIFEST) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
    _fsync(draft)
    return manifest


def _write(database: Database[Document], session: ClientSession, name: str, draft: Path, progress: Progress) -> Part:
    documents = 0
    found = database[name].find_raw_batches({}, session=session, batch_size=_AT_ONCE)
    with closing(found) as batches, _File(file_of(draft, name)) as file:
        with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:  # type: ignore[call-overload]  # only written to
            for batch in cast(Iterable[bytes], batches):
                packed.write(batch)
                there = _count(batch)
                documents += there
                progress(name, there)
        return Part(documents=documents, bytes=file.size, sha256=file.digest.hexdigest())


def _count(batch: bytes) -> int:
    """Return how many documents follow one another here; each begins with its length."""
    place = documents = 0
    while place < len(batch):
        place += _length.unpack_from(batch, place)[0]
        documents += 1
    return documents


class _File:
    """A new file for its owner's eyes alone, durable once it is closed; knows its own size and digest."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self.size = 0
        self.digest = sha256()

    def __enter__(self) -> Self:
        return self

    def write(self, content: bytes) -> int:
        self._file.write(content)
        self.digest.update(content)
        self.size += len(content)
        return len(content)

    def __exit__(self, *_raised: object) -> None:
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: PyMongoError | BSONError) -> str:
    if not isinstance(error, OperationFailure) or error.code != _TOO_OLD:
        return f"the database could not be read: {error}"
    return (
        "reading took longer than MongoDB keeps the history of one moment (minSnapshotHistoryWindowInSeconds, 300 by "
        "default): raise it while the backup is taken, as an administrator of MongoDB on every member of the set, by "
        "db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: 3600})"
    )
