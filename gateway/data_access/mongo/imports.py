"""Imports in MongoDB: the `ImportRecords` port over two collections, records and faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import cast

from pymongo import ASCENDING, DESCENDING, IndexModel

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.services.clock import now
from gateway.services.errors import ImportRunning, MirrorRunning
from gateway.services.imports.records import DETAILS, UNASKED, Beginning, Import, ImportSummary, Progress
from gateway.services.imports.source import RowFault

FAULTS_A_DOCUMENT = 2_000
"""Faults that are kept together: some 300 kB, far below MongoDB's 16 MB."""

_EXPIRY = IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0)
RECORD_INDEXES = (
    IndexModel([("status", ASCENDING)], name="status"),
    # Of those alone whose end is still to be logged: few, and for a moment.
    IndexModel([("audited", ASCENDING)], name="unaudited", partialFilterExpression={"audited": False}),
    _EXPIRY,
)
FAULT_INDEXES = (
    IndexModel([("import", ASCENDING), ("batch", ASCENDING), ("part", ASCENDING)], name="order"),
    _EXPIRY,
)
_RUNNING = "running"
_BEGINNING = ("request_id", "address")
_OURS = dict.fromkeys(("expires_at", "first_load", "alone", "given_up", "audited", "end_entry", *_BEGINNING), 0)
"""What no reader sees. ``audited`` says that the end has been logged; ``end_entry`` is of versions before the log."""
_YOUNGER: Document = {"columns": [], "blank_rows": 0, "missing_words": {}, "deleted": 0}
_YOUNGER_DETAILS: Document = {
    "warnings": [],
    "segment_changes": {"count": 0, "unknown": 0, "moves": []},
    "drift": None,
    "drift_unavailable": "The import is older than this comparison.",
    "mirror": None,
}
"""What records from before these members have in their place; the details are not in lists."""
_GATE: Document = {"_id": "gate"}
"""What everybody writes who begins an import, so that of two at once one sees the other; it says who holds until when.

It lies among the faults, where nobody lists it.
"""
_HEARTBEAT: Document = {"$currentDate": {"updated_at": True}}  # by the server's clock


class MongoImportRecords:
    """`ImportRecords` in MongoDB; they and their faults expire by themselves.

    Parameters
    ----------
    kept : how long an import is kept, from its beginning.
    """

    def __init__(self, records: Documents, faults: Documents, kept: timedelta) -> None:
        self._records = StoreCollection(records)
        self._faults = StoreCollection(faults)
        self._kept = kept

    def begin(
        self,
        record: Import,
        beginning: Beginning = UNASKED,
        *,
        first_load: bool = False,
        alone: bool = False,
        holder: str | None = None,
    ) -> None:
        if not record["dry_run"]:
            self._pass_gate(holder, {} if alone else {"alone": True})
        document = {name: value for name, value in record.items() if name not in ("id", "updated_at")}
        own = {"expires_at": record["created_at"] + self._kept, "first_load": first_load, "audited": False}
        own |= {"alone": True} if alone else {}
        new = {"$setOnInsert": document | own | beginning._asdict(), **_HEARTBEAT}
        with self._records as records:
            records.update_one({"_id": record["id"]}, new, upsert=True, session=session())

    def hold(self, holder: str, seconds: float) -> None:
        self._pass_gate(holder, {})
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        with self._faults as faults:
            held = [{"$set": {"holder": {"$literal": holder}, "until": until}}]
            faults.update_one(_GATE, held, session=session())

    def release(self, holder: str) -> None:
        with self._faults as faults:
            faults.update_one(_GATE | {"holder": holder}, {"$unset": {"holder": "", "until": ""}})

    def _pass_gate(self, holder: str | None, in_the_way: Document) -> None:
        held = {"holder": {"$ne": holder}, "$expr": {"$gt": ["$until", "$$NOW"]}}
        with self._faults as faults:
            faults.update_one(_GATE, {"$inc": {"passed": 1}}, upsert=True, session=session())
            if faults.find_one(_GATE | held, {"_id": 1}, session=session()):
                raise ImportRunning(None)
        running = {"status": _RUNNING, "dry_run": False, **in_the_way}
        with self._records as records:
            found = records.find_one(running, {"mode": 1}, session=session())
        if found:
            raise (MirrorRunning if found["mode"] == "mirror" else ImportRunning)(found["_id"])

    def loading(self) -> bool:
        with self._records as records:
            return records.find_one({"status": _RUNNING, "first_load": True}, {"_id": 1}) is not None

    def note(self, import_id: str, progress: Progress) -> bool:
        displaced = {"alone": True, "given_up": True}
        unreported: Document = {"_id": import_id, "audited": False, "$nor": [displaced]}
        change = {"$set": progress, **_HEARTBEAT}
        with self._records as records:
            found = records.find_one_and_update(unreported, change, {"cancel_requested": 1})
            if found is None:
                return records.find_one({"_id": import_id}, {"_id": 1}) is not None
        return bool(found["cancel_requested"])

    def note_faults(self, import_id: str, batch: int, faults: Sequence[RowFault]) -> None:
        expiry = now() + self._kept
        parts = [
            {"import": import_id, "batch": batch, "part": first, "faults": faults[first : first + FAULTS_A_DOCUMENT]}
            for first in range(0, len(faults), FAULTS_A_DOCUMENT)
        ]
        with self._faults as collection:
            collection.insert_many([part | {"expires_at": expiry} for part in parts])

    def faults(self, import_id: str) -> Iterator[Sequence[RowFault]]:
        after: Document = {}
        # A query for each part, so that nothing stays open on the server when the caller takes its time or leaves.
        while part := self._part(import_id, after):
            yield part["faults"]
            same, later = {"batch": part["batch"], "part": {"$gt": part["part"]}}, {"batch": {"$gt": part["batch"]}}
            after = {"$or": [same, later]}

    def get(self, import_id: str) -> Import | None:
        with self._records as records:
            document = records.find_one({"_id": import_id}, _OURS)
        return cast(Import, {**_YOUNGER_DETAILS, **_record(document)}) if document else None

    def page(self, before: str | None, limit: int) -> list[ImportSummary]:
        query: Document = {} if before is None else {"_id": {"$lt": before}}
        with self._records as records:
            found = records.find(query, _OURS | dict.fromkeys(DETAILS, 0), sort=[("_id", DESCENDING)], limit=limit)
            return [cast(ImportSummary, _record(document)) for document in found]

    def request_cancel(self, import_id: str) -> bool:
        running = {"_id": import_id, "status": _RUNNING}
        with self._records as records:
            return records.update_one(running, {"$set": {"cancel_requested": True}}).matched_count == 1

    def interrupt_stale(self, seconds: float, reason: str) -> int:
        # The condition is part of the write: one that is slow but alive is never given up after it was heard of.
        given_up: Document = {"status": "interrupted", "reason": reason, "given_up": True}
        update = {"$set": given_up, "$currentDate": {"finished_at": True}}
        with self._records as records:
            return records.update_many({"status": _RUNNING, **_silent(seconds)}, update).modified_count

    def unreported(self, seconds: float) -> list[str]:
        ended = {"audited": False, "status": {"$ne": _RUNNING}, **_silent(seconds)}
        with self._records as records:
            return [document["_id"] for document in records.find(ended, {"_id": 1})]

    def mark_reported(self, import_id: str) -> tuple[Import, Beginning] | None:
        unreported = {"_id": import_id, "audited": False, "status": {"$ne": _RUNNING}}
        with self._records as records:
            found = records.find_one_and_update(unreported, {"$set": {"audited": True}}, session=session())
        if found is None:
            return None
        beginning = Beginning(*(found.get(name) for name in _BEGINNING))
        record = {name: value for name, value in found.items() if name not in _OURS}
        return cast(Import, {**_YOUNGER_DETAILS, **_record(record)}), beginning

    def _part(self, import_id: str, after: Document) -> Document | None:
        order = [("batch", ASCENDING), ("part", ASCENDING)]
        with self._faults as faults:
            return faults.find_one({"import": import_id, **after}, sort=order)


def _silent(seconds: float) -> Document:
    """Return the filter of imports that were last heard of so long ago.

    The server's clock says both when that was and what time it is: no other machine's clock decides.
    """
    return {"$expr": {"$gt": [{"$subtract": ["$$NOW", "$updated_at"]}, int(seconds * 1000)]}}


def _record(document: Document) -> Document:
    return {"id": document.pop("_id"), **_YOUNGER, **document}
