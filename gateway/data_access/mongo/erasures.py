"""Erasures in MongoDB: the `ErasureRecords` port over one collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collection import Collection

from gateway.data_access.mongo.faults import store_faults
from gateway.services.customers.erasures import Erasure

Document = dict[str, Any]

INDEXES = (
    IndexModel([("digest", ASCENDING), ("requested_at", DESCENDING)], name="digest"),
    # Of unfinished ones only: most erasures leave it a moment after they have come.
    IndexModel([("cust_id", ASCENDING)], name="unfinished", sparse=True),
)


class MongoErasureRecords:
    """Erasures in MongoDB; an unfinished one has a ``cust_id``, a complete one has not."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection
        self._prepared = False

    @property
    def _records(self) -> Collection[Document]:
        if not self._prepared:
            self._collection.create_indexes(list(INDEXES))
            self._prepared = True
        return self._collection

    def add(self, erasure: Erasure) -> None:
        """Write down what is about to be erased."""
        document = asdict(erasure)
        with store_faults():
            self._records.insert_one({"_id": document.pop("id"), **document})

    def withdraw(self, erasure_id: str) -> None:
        """Remove an erasure that was not carried out."""
        with store_faults():
            self._records.delete_one({"_id": erasure_id})

    def note(self, erasure_id: str, place: str, entries: int) -> None:
        """Write down that a place is done, adding to the entries that were removed from it before."""
        with store_faults():
            self._records.update_one({"_id": erasure_id}, {"$inc": {f"erased.{place}": entries}})

    def complete(self, erasure_id: str, at: datetime) -> None:
        """Write down that all is done, and forget the CUST_ID."""
        done = {"$set": {"completed_at": at}, "$unset": {"cust_id": ""}}
        with store_faults():
            self._records.update_one({"_id": erasure_id}, done)

    def get(self, erasure_id: str) -> Erasure | None:
        """Return one erasure, or None."""
        with store_faults():
            document = self._records.find_one({"_id": erasure_id})
        return _erasure(document) if document else None

    def of(self, digest: str, limit: int) -> list[Erasure]:
        """Return up to `limit` erasures of one CUST_ID, newest first."""
        return self._find({"digest": digest}, [("requested_at", DESCENDING)], limit)

    def unfinished(self, requested_until: datetime, after: str | None, limit: int) -> list[Erasure]:
        """Return erasures requested until then that are not complete, in the order of their ids, after one of them."""
        query: Document = {"cust_id": {"$exists": True}, "requested_at": {"$lte": requested_until}}
        if after is not None:
            query["_id"] = {"$gt": after}
        return self._find(query, [("_id", ASCENDING)], limit)

    def _find(self, query: Document, order: Sequence[tuple[str, int]], limit: int) -> list[Erasure]:
        with store_faults():
            return [_erasure(document) for document in self._records.find(query, sort=order, limit=limit)]


def _erasure(document: Document) -> Erasure:
    return Erasure(id=document.pop("_id"), **{"cust_id": None, **document})
