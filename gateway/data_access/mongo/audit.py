"""The audit trail in MongoDB: the `AuditTrail` port over one collection.

What concerns several documents (a deletion, a restore, an erasure, an API key) writes its entry in its transaction. Any
other change is of one document, made without one, and its entry is written first. Why that may be done without waiting
for the journal or the other members, when the change that follows waits for both (``w: majority, j: true``):

- The primary gives every write a place in the operation log. An entry that it has acknowledged has one, and the change
  is sent only then, so its place is a later one.
- "The replication majority commit point refers to an OpTime such that all oplog entries with an OpTime earlier or equal
  to it have been replicated to a majority" (MongoDB, src/mongo/db/repl/README.md, Commit Point Propagation): when the
  change is acknowledged, the entry is on a majority as well, and no election can lose the one and keep the other. What
  is true of the log is true of each member's journal, which is one sequence: flushing it up to the change flushes the
  entry. So it is on a set of one member, which waits "for no oplog holes behind a write" (the same repository,
  waitForNoOplogHolesIfNeeded), and on a standalone server.

That holds within one term of one primary. If the primary steps down after it took the entry and before it took
the change, the driver sends the change to the next one, which may never have seen the entry. The driver then knows of
the election, since it had to find the new primary: `MongoAuditTrail.term` tells, and `Auditor` writes the entry once
more, durably. What remains: the gateway dies in just that moment, between a change that survived an election and the
repetition of its entry. On a sharded cluster entry and change may go to different primaries: there, every entry is
written durably.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pymongo import ASCENDING, DESCENDING, IndexModel, ReplaceOne, UpdateOne, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.services.audit import Action, AuditEntry, AuditFilters, id_since

_DAY = 24 * 3600

INDEXES = (
    IndexModel([("subject.id", ASCENDING), ("_id", DESCENDING)], name="subject"),
    IndexModel([("actor.id", ASCENDING), ("_id", DESCENDING)], name="actor"),
    IndexModel([("action", ASCENDING), ("_id", DESCENDING)], name="action"),
)
"""Each filter with the newest first; ``_id`` begins with the time, so that it serves for the time alone."""


def indexes(days: int) -> tuple[IndexModel, ...]:
    """Return the indexes of a trail whose entries are kept for so many days."""
    return (*INDEXES, IndexModel("at", name="expiry", expireAfterSeconds=days * _DAY))


class MongoAuditTrail:
    """The `AuditTrail` in MongoDB.

    Parameters
    ----------
    collection : with write concern majority and journal.
    """

    name = "audit"

    def __init__(self, collection: Documents) -> None:
        self._entries = StoreCollection(collection)
        # Entries that have not reached a majority yet are read, too: whoever looks wants to know what is going on.
        self._quick = collection.with_options(write_concern=WriteConcern(w=1), read_concern=ReadConcern("local"))

    def term(self) -> object:
        return self._quick.database.client.topology_description.max_election_id

    def record(self, entries: Sequence[AuditEntry], *, durably: bool) -> None:
        if not entries:
            return
        documents = [_document(entry) for entry in entries]
        with self._entries as collection:
            if (transaction := session()) is not None:  # which makes them durable together with what they tell
                _insert(collection, documents, transaction)
            elif durably or self._sharded():  # see this module's text
                collection.bulk_write([ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents])
            else:
                _insert(self._quick, documents)

    def add(self, entries: Sequence[AuditEntry]) -> int:
        documents = [_document(entry) for entry in entries]
        with self._entries as collection:
            known = collection.find({"_id": {"$in": [d["_id"] for d in documents]}}, {"_id": 1})
            there = {document["_id"] for document in known}
            # Another worker may be adding the same ones.
            requests = [
                UpdateOne({"_id": d["_id"]}, {"$setOnInsert": d}, upsert=True)
                for d in documents
                if d["_id"] not in there
            ]
            return int(collection.bulk_write(requests, ordered=False).upserted_count) if requests else 0

    def orders(self, actions: Sequence[Action]) -> list[AuditEntry]:
        with self._entries as collection:
            found = list(collection.find({"action": {"$in": list(actions)}, "after": None}))
        return [_entry(document) for document in found]

    def withdraw(self, ids: Sequence[str]) -> None:
        with self._entries:
            self._quick.delete_many({"_id": {"$in": list(ids)}})

    def page(self, filters: AuditFilters, before: str | None, limit: int) -> list[AuditEntry]:
        with self._entries:
            found = list(self._quick.find(_query(filters, before), sort=[("_id", DESCENDING)], limit=limit))
        return [_entry(document) for document in found]

    def erase(self, cust_id: str) -> int:
        nobody: Document = {"$set": {"subject.id": None, "erased": True}}
        wanted = {"subject.id": cust_id, "subject.type": "customer"}
        with self._entries as entries:
            return int(entries.update_many(wanted, nobody).modified_count)

    def _sharded(self) -> bool:
        return self._quick.database.client.topology_description.topology_type_name == "Sharded"


def _insert(collection: Documents, documents: list[Document], transaction: ClientSession | None = None) -> None:
    if len(documents) == 1:
        collection.insert_one(documents[0], session=transaction)
    else:
        collection.insert_many(documents, ordered=False, session=transaction)


def _document(entry: AuditEntry) -> Document:
    return {"_id": entry["id"], **{key: value for key, value in entry.items() if key != "id"}}


def _entry(document: Document) -> AuditEntry:
    return cast(AuditEntry, {"id": document.pop("_id"), **document})


def _query(filters: AuditFilters, before: str | None) -> Document:
    wanted = {"subject.id": filters.subject, "actor.id": filters.actor, "action": filters.action}
    place = {
        "$gte": id_since(filters.since) if filters.since else None,
        "$lt": _least(before, id_since(filters.until) if filters.until else None),
    }
    bounds = {operator: value for operator, value in place.items() if value is not None}
    query = {name: value for name, value in wanted.items() if value is not None}
    return {**query, "_id": bounds} if bounds else query


def _least(*values: str | None) -> str | None:
    return min((value for value in values if value is not None), default=None)
