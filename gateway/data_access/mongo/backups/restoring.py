"""Puts a backup into an empty database, in constant memory.

Documents go in as they are in the files, by their ``_id``: what an earlier run has stored already is met again and left
alone, so that a restore which was broken off is run again and goes on. Positions of the change log begin anew far above
those of the backup (`LogWriter.begin_anew`): what was logged between the backup and the loss had positions, too, and
whoever has read that far must not take other changes for those.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

from bson import decode_file_iter
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import timeout
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from gateway.data_access.mongo.backups import marker
from gateway.data_access.mongo.backups.manifest import Manifest, check_files, file_of, read_manifest
from gateway.data_access.mongo.collection import Document, Documents, store_errors
from gateway.data_access.mongo.events.changes import LogWriter
from gateway.services.backups import BackupError, LaterErasures, Progress
from gateway.services.events.change import Entry
from gateway.services.transactions import Transactions

_RAW = CodecOptions(document_class=RawBSONDocument)
_AT_ONCE = 1_000
_DUPLICATE = 11000
_OPERATION_SECONDS = 120.0
_QUOTED: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[Any]]]] = {
    "customers": lambda document: iter([document["_id"]]),
    "deleted_customers": lambda document: iter([document["_id"]]),
    "changes": lambda document: _subjects([document]),
    "audit": lambda document: _subjects([document]),
    "outbox": lambda document: _subjects(document.get("outbox", ())),
    "former_values": lambda document: iter([document["cust_id"]]),
    "idempotency": lambda document: iter(document["customers"]),
}
"""How to find the CUST_IDs that a document quotes, in the collections whose documents quote some."""


class Restore:
    """A backup on its way into a database.

    Parameters
    ----------
    known : names of the collections that a backup may have.
    transactions : over the same database.
    """

    def __init__(
        self, database: Database[Document], transactions: Transactions, folder: Path, known: Sequence[str]
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._folder = folder
        self.manifest: Manifest = read_manifest(folder, known)

    @property
    def to_erase(self) -> Sequence[str] | None:
        """Customers who are still to be erased again; None until everything is loaded."""
        with store_errors():
            found = marker.unfinished_restore(self._database)
        return found["to_erase"] if found else None

    def begin(self, progress: Progress) -> None:
        """Check the files, then make sure that the database is empty, or has a part of this backup; mark it.

        Raises
        ------
        BackupError, StoreError
        """
        check_files(self._folder, self.manifest, progress)
        with store_errors():
            unfinished = marker.unfinished_restore(self._database)
            if unfinished is None:
                self._refuse_filled()
                marker.place(self._database, self.manifest["id"])
            elif unfinished["backup"] != self.manifest["id"]:
                raise BackupError(
                    f"the restore of another backup ({unfinished['backup']}) was broken off in this database: end "
                    "that one, or begin with an empty database"
                )
            self._keep_what_expires()

    def load(self, later: LaterErasures, digest_of: Callable[[str], str], progress: Progress) -> None:
        """Store all documents, count them, and note which customers were erased later.

        Raises
        ------
        BackupError, StoreError
        """
        with store_errors(), timeout(0):
            later = later.after(self._known_receipts()) if later.receipts else later
            named: set[str] = set()
            for name, part in self.manifest["collections"].items():
                quoted, read = _QUOTED.get(name, _nobody), 0
                for block in self._blocks(name):
                    if later.receipts:
                        ids = {cust_id for document in block for cust_id in quoted(document)}
                        named |= {cust_id for cust_id in ids if digest_of(cust_id) in later.receipts}
                    with timeout(_OPERATION_SECONDS):
                        _store(self._database[name], block)
                    read += len(block)
                    progress(name, len(block))
                self._compare(name, read, part["documents"])
            marker.loaded(self._database, sorted(named))

    def erased(self, cust_id: str) -> None:
        """Note that a customer has been erased again.

        Raises
        ------
        StoreError
        """
        with store_errors():
            marker.erased(self._database, cust_id)

    def finish(self, entry: Entry) -> None:
        """Lift the mark, and let the change log go on with the entry of the restore.

        Raises
        ------
        StoreError
        """
        log = LogWriter(self._database)

        def end() -> None:
            log.begin_anew(entry)
            marker.lift(self._database)

        log.begin()
        self._transactions.run(end)

    def _refuse_filled(self) -> None:
        names = sorted(self._database.list_collection_names(filter={"name": {"$not": {"$regex": "^system[.]"}}}))
        if filled := [name for name in names if self._database[name].find_one({}, {"_id": 1}) is not None]:
            raise BackupError(
                f"the database {self._database.name} is not empty ({', '.join(filled)}): stop all gateways and "
                "workers, then name a new database in MONGODB_URI or drop this one"
            )

    def _keep_what_expires(self) -> None:
        """Drop indexes by which the server would remove documents before they are counted; the worker makes them."""
        for name in set(self._database.list_collection_names()) & set(self.manifest["collections"]):
            for index, description in self._database[name].index_information().items():
                if "expireAfterSeconds" in description:
                    self._database[name].drop_index(index)

    def _known_receipts(self) -> Iterator[str]:
        for block in self._blocks("erasures") if "erasures" in self.manifest["collections"] else ():
            yield from (document["_id"] for document in block)

    def _blocks(self, name: str) -> Iterator[list[RawBSONDocument]]:
        path, block = file_of(self._folder, name), list[RawBSONDocument]()
        try:
            with gzip.open(path) as file:
                for document in decode_file_iter(cast(IO[bytes], file), _RAW):
                    block.append(document)
                    if len(block) == _AT_ONCE:
                        yield block
                        block = []
            if block:
                yield block
        except (OSError, EOFError, zlib.error, BSONError) as error:
            raise BackupError(f"{path} cannot be read: {error}") from error

    def _compare(self, name: str, read: int, written: int) -> None:
        stored = self._database[name].count_documents({})
        if not read == stored == written:
            raise BackupError(
                f"{name} has {stored:,} documents, its file {read:,} and its manifest {written:,}: somebody else has "
                "written to this database, or the backup is damaged; begin with an empty database"
            )


def _subjects(entries: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    subjects = (entry["subject"] for entry in entries)
    return (each["id"] for each in subjects if each["type"] == "customer" and each["id"] is not None)


def _nobody(_document: Mapping[str, Any]) -> Iterator[Any]:
    return iter(())


def _store(collection: Documents, block: Sequence[RawBSONDocument]) -> None:
    """Store documents, but for those that an earlier run has stored."""
    try:
        collection.insert_many(block, ordered=False, bypass_document_validation=True)
    except BulkWriteError as error:
        details = error.details or {}
        others = [fault for fault in details.get("writeErrors", ()) if fault["code"] != _DUPLICATE]
        if others or details.get("writeConcernErrors"):
            raise
