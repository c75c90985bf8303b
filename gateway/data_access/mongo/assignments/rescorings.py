"""What was done after each activation, in MongoDB: the `RescoringRecords` port."""

from __future__ import annotations

from dataclasses import asdict

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.services.assignments.rescorings import Counts

_HEARD_OF: Document = {"$currentDate": {"at": True}}  # by the server's clock
_SILENT_MS: Document = {"$subtract": ["$$NOW", "$at"]}


class MongoRescoringRecords:
    """`RescoringRecords` in MongoDB: a document for what each worker has done, and one for the end of it all.

    Each has its own, so that no worker waits for another.
    """

    def __init__(self, collection: Documents) -> None:
        self._records = StoreCollection(collection)

    def begin(self, activation: str, worker: str) -> None:
        self._note(activation, worker, {"$set": {"scoring": True}})

    def add(self, activation: str, worker: str, counts: Counts) -> None:
        self._note(activation, worker, {"$inc": asdict(counts)})

    def pause(self, activation: str, worker: str) -> None:
        self._note(activation, worker, {"$set": {"scoring": False}})

    def others(self, activation: str, worker: str, seconds: float) -> bool:
        heard_of = {"$expr": {"$lt": [_SILENT_MS, int(seconds * 1000)]}}
        wanted = {"activation": activation, "worker": {"$ne": worker}, "scoring": True, **heard_of}
        with self._records as records:
            return records.find_one(wanted, {"_id": 1}, session=session()) is not None

    def done(self, activation: str) -> Counts:
        with self._records as records:
            return _sum(list(records.find({"activation": activation}, session=session())))

    def end(self, activation: str) -> Counts | None:
        with self._records as records:
            found = list(records.find({"activation": activation}, session=session()))
            if any(document["_id"] == activation for document in found):
                return None
            done = _sum(found)
            records.insert_one({"_id": activation, "activation": activation, **asdict(done)}, session=session())
            records.delete_many({"_id": {"$in": [document["_id"] for document in found]}}, session=session())
        return done if found else None

    def _note(self, activation: str, worker: str, change: Document) -> None:
        whose = {"activation": activation, "worker": worker}
        with self._records as records:
            records.update_one({"_id": f"{activation} {worker}", **whose}, {**change, **_HEARD_OF}, upsert=True)


def _sum(documents: list[Document]) -> Counts:
    counts = [Counts(**{name: each.get(name, 0) for name in asdict(Counts())}) for each in documents]
    return sum(counts, Counts())
