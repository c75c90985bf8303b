"""Erasures in MongoDB: the `ErasureRecords` port over one collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from pymongo import ASCENDING, DESCENDING, IndexModel

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.data_access.mongo.deletions_upgrade import upgraded
from gateway.services.customers.erasures import Erasure

INDEXES = (
    IndexModel([("digest", ASCENDING), ("requested_at", DESCENDING)], name="digest"),
    # Of unfinished ones only: most erasures leave it a moment after they have come.
    IndexModel([("cust_id", ASCENDING)], name="unfinished", sparse=True),
)


class MongoErasureRecords:
    """`ErasureRecords` in MongoDB; an unfinished one has a ``cust_id``, a complete one has not."""

    def __init__(self, collection: Documents) -> None:
        self._records = StoreCollection(collection, upgraded)

    def add(self, erasure: Erasure) -> None:
        document = asdict(erasure)
        with self._records as records:
            records.insert_one({"_id": document.pop("id"), **document}, session=session())

    def note(self, erasure_id: str, place: str, entries: int) -> None:
        with self._records as records:
            records.update_one({"_id": erasure_id}, {"$inc": {f"erased.{place}": entries}})

    def complete(self, erasure_id: str, at: datetime) -> None:
        done = {"$set": {"completed_at": at}, "$unset": {"cust_id": ""}}
        with self._records as records:
            records.update_one({"_id": erasure_id}, done)

    def get(self, erasure_id: str) -> Erasure | None:
        with self._records as records:
            document = records.find_one({"_id": erasure_id})
        return _erasure(document) if document else None

    def of(self, digest: str, limit: int) -> list[Erasure]:
        return self._find({"digest": digest}, [("requested_at", DESCENDING)], limit)

    def page(self, after: str | None, limit: int) -> list[Erasure]:
        return self._find({} if after is None else {"_id": {"$gt": after}}, [("_id", ASCENDING)], limit)

    def unfinished(self, requested_until: datetime, after: str | None, limit: int) -> list[Erasure]:
        query: Document = {"cust_id": {"$exists": True}, "requested_at": {"$lte": requested_until}}
        if after is not None:
            query["_id"] = {"$gt": after}
        return self._find(query, [("_id", ASCENDING)], limit)

    def _find(self, query: Document, order: Sequence[tuple[str, int]], limit: int) -> list[Erasure]:
        with self._records as records:
            return [_erasure(document) for document in records.find(query, sort=order, limit=limit)]


def _erasure(document: Document) -> Erasure:
    document.pop("created_until", None)  # which versions before transactions needed
    return Erasure(id=document.pop("_id"), **{"cust_id": None, **document})
