"""The change log in MongoDB: the `ChangeLog` port over ``changes``, with what is kept for a shorter time beside it.

``changes`` has the position as ``_id``. The last position and how far back the log goes are in one document of
``counters``. ``former_values`` has the values of an entry under its position, because they expire earlier; so has
``erased_ids`` the ids of erased customers. The relay writes (`data_access.mongo.events.outboxes`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.services.clock import now
from gateway.services.events.change import ERASED_ID_KEPT, ChangeType, Entry, Logged, without_values
from gateway.services.events.log import OWN_CAUSES, OWN_TYPES, AuditFilters, Memory

_DAY = 24 * 3600
_COUNTER = {"_id": "changes"}
_BLOCK = 2_000
_DROPPED_AT_ONCE = 10_000
_NEVER_REACHED = 1_000_000_000
"""More changes than there ever are between a backup and the loss of what came after it."""
_PER_MILLISECOND = 1_000
"""More changes than there ever are in that time: a backup restored twice leaves out what the first time went on to."""

INDEXES = (
    IndexModel([("subject.id", ASCENDING), ("_id", DESCENDING)], name="subject"),
    IndexModel([("actor.id", ASCENDING), ("_id", DESCENDING)], name="actor"),
    IndexModel([("type", ASCENDING), ("_id", DESCENDING)], name="type"),
    IndexModel([("cause", ASCENDING), ("_id", DESCENDING)], name="cause"),
    IndexModel([("at", ASCENDING), ("_id", ASCENDING)], name="at"),
    # Few entries have an id of their own.
    IndexModel([("id", ASCENDING)], name="id", partialFilterExpression={"id": {"$exists": True}}),
)


def value_indexes(days: int) -> tuple[IndexModel, ...]:
    """Return the indexes of former values that are kept for so many days."""
    return (
        IndexModel([("cust_id", ASCENDING)], name="cust_id"),
        IndexModel([("at", ASCENDING)], name="expiry", expireAfterSeconds=days * _DAY),
    )


ERASED_ID_INDEXES = (
    IndexModel([("at", ASCENDING)], name="expiry", expireAfterSeconds=int(ERASED_ID_KEPT.total_seconds())),
)


def make_once(counters: Documents, counter: Document) -> None:
    """Store a counter, unless there is one of its name."""
    with suppress(DuplicateKeyError):  # another process did at the same moment
        counters.update_one({"_id": counter["_id"]}, {"$setOnInsert": counter}, upsert=True)


def begin(counters: Documents) -> None:
    """Make the log's counter, unless there is one: the log begins with it."""
    make_once(counters, {**_COUNTER, "position": Int64(0), "began_at": now()})


class LogWriter:
    """Puts entries at the end of the log, within a transaction that also removes them from where they were."""

    def __init__(self, database: Database[Document]) -> None:
        self._changes = StoreCollection(database["changes"])
        self._values = StoreCollection(database["former_values"])
        self._erased = StoreCollection(database["erased_ids"])
        self._counters = StoreCollection(database["counters"], begin)

    def begin(self) -> None:
        """Make sure that there is a log, which a transaction cannot begin."""
        with self._counters:
            pass

    def append(self, entries: Sequence[Entry]) -> None:
        """Give entries the next positions; those whose own id is in the log already are dropped."""
        new = self._unknown(entries)
        if not new:
            return
        with self._counters as counters:  # two writers meet here, and one of them begins again
            counter: Document = counters.find_one_and_update(
                _COUNTER,
                {"$inc": {"position": len(new)}},
                return_document=ReturnDocument.AFTER,
                session=session(),
            )  # type: ignore[assignment]  # `begin` has made it
        first = counter["position"] - len(new) + 1
        documents = [{"_id": Int64(first + i), **without_values(entry)} for i, entry in enumerate(new)]
        values = [_values(first + i, entry) for i, entry in enumerate(new) if entry.get("values")]
        erased = [_erased_id(first + i, entry) for i, entry in enumerate(new) if "erased_id" in entry]
        for place, some in ((self._changes, documents), (self._values, values), (self._erased, erased)):
            if some:
                with place as collection:
                    collection.insert_many(some, session=session())

    def begin_anew(self, entry: Entry) -> None:
        """Put the entry of a restore into the log, with a position that nothing had before the loss; see `Entry`."""
        with self._counters as counters:
            counter: Document = counters.find_one(_COUNTER, session=session())  # type: ignore[assignment]  # `begin` has made it
            last = counter["position"]
            begun = Int64(max(last + _NEVER_REACHED, time.time_ns() // 1_000_000 * _PER_MILLISECOND))
            counters.update_one(_COUNTER, {"$set": {"position": begun}}, session=session())
        with self._changes as changes:
            changes.insert_one({"_id": begun, "follows": Int64(last), **entry}, session=session())

    def _unknown(self, entries: Sequence[Entry]) -> list[Entry]:
        own = [entry["id"] for entry in entries if "id" in entry]
        if not own:
            return list(entries)
        with self._changes as changes:
            known = {each["id"] for each in changes.find({"id": {"$in": own}}, {"id": 1}, session=session())}
        new = []
        for entry in entries:
            if entry.get("id") not in known:
                new.append(entry)
                known |= {entry["id"]} if "id" in entry else set()  # the same may wait twice
        return new


def _values(position: int, entry: Entry) -> Document:
    cust_id = entry["subject"]["id"]
    return {"_id": Int64(position), "values": entry["values"], "at": entry["at"], "cust_id": cust_id}


def _erased_id(position: int, entry: Entry) -> Document:
    return {"_id": Int64(position), "cust_id": entry["erased_id"], "at": entry["at"]}


class MongoChangeLog:
    """The `ChangeLog` in MongoDB.

    Parameters
    ----------
    values_kept : how long former values are kept.
    """

    def __init__(self, database: Database[Document], values_kept: timedelta) -> None:
        self._changes = StoreCollection(database["changes"])
        self._values = StoreCollection(database["former_values"])
        self._erased = StoreCollection(database["erased_ids"])
        self._counters = StoreCollection(database["counters"], begin)
        self._values_kept = values_kept

    def newest_first(self, filters: AuditFilters, before: int | None, limit: int) -> list[Logged]:
        return self._find(_query(filters, before), DESCENDING, limit)

    def after(self, position: int, types: Sequence[ChangeType] | None, limit: int) -> list[Logged]:
        query: Document = {"_id": {"$gt": position}}
        if types is not None:
            query["$or"] = [{"type": {"$in": list(types)}}]
            if "customer.segment_changed" in types:
                query["$or"].append({"segment": {"$exists": True}})
        found = self._find(query, ASCENDING, limit)
        erasures = {entry["position"]: entry for entry in found if entry["type"] == "customer.erased"}
        for position, document in _kept(self._erased, [*erasures], ERASED_ID_KEPT).items():
            erasures[position]["erased_id"] = document["cust_id"]
        return found

    def of_customer(self, cust_id: str, before: int | None, limit: int) -> list[Logged]:
        query = _query(AuditFilters(subject=cust_id), before) | {"subject.type": "customer"}
        found = self._find(query, DESCENDING, limit)
        changed = {entry["position"]: entry for entry in found if "fields" in entry}
        for position, document in _kept(self._values, [*changed], self._values_kept).items():
            changed[position]["values"] = document["values"]
        return found

    def segment_changes(self, since: datetime, until: datetime | None) -> Iterator[list[Logged]]:
        made: Document = {"$gte": since} if until is None else {"$gte": since, "$lt": until}
        wanted: Document = {"at": made, "segment": {"$exists": True}}
        query, order = wanted, [("at", ASCENDING), ("_id", ASCENDING)]
        while True:
            with self._changes as changes:
                block = [_logged(each) for each in changes.find(query, sort=order, limit=_BLOCK, batch_size=_BLOCK + 1)]
            if not block:
                return
            yield block
            last = block[-1]
            later = [{"at": {"$gt": last["at"]}}, {"at": last["at"], "_id": {"$gt": last["position"]}}]
            query = {**wanted, "at": {**made, "$gte": last["at"]}, "$or": later}

    def position_at(self, at: datetime) -> int:
        with self._changes as changes:
            order = [("at", ASCENDING), ("_id", ASCENDING)]  # as the index has them
            found = changes.find_one({"at": {"$gte": at}}, {"_id": 1}, sort=order)
        return int(found["_id"]) if found else self.head() + 1

    def count(self, kind: ChangeType, first: int, most: int) -> int:
        with self._changes as changes:
            return changes.count_documents({"type": kind, "_id": {"$gte": first}}, limit=most)

    def head(self) -> int:
        return int(self._counter()["position"])

    def memory(self) -> Memory:
        counter = self._counter()
        since: datetime = counter["since"] if "since" in counter else counter["began_at"]
        return Memory(counter.get("first", 0), since, max(since, now() - self._values_kept))

    def forget(self, before: datetime) -> int:
        with self._changes as changes:
            kept = changes.find_one({"at": {"$gte": before}}, {"_id": 1}, sort=[("_id", ASCENDING)], hint="_id_")
            first = kept["_id"] if kept else self.head() + 1
            oldest = changes.find_one({"_id": {"$lt": first}}, {"_id": 1}, sort=[("_id", ASCENDING)])
        if oldest is None:
            return 0
        with self._counters as counters:  # before anything is dropped, so that nobody takes what is left for all
            counters.update_one(_COUNTER, {"$max": {"first": first, "since": before}})
        dropped = 0
        while oldest is not None:  # not by numbers alone: at a restore many are left out
            with self._changes as changes:
                to = min(oldest["_id"] + _DROPPED_AT_ONCE, first)
                dropped += changes.delete_many({"_id": {"$gte": oldest["_id"], "$lt": to}}).deleted_count
                oldest = changes.find_one({"_id": {"$lt": first}}, {"_id": 1}, sort=[("_id", ASCENDING)])
        return dropped

    def erase(self, cust_id: str) -> int:
        with self._changes as changes:
            nobody: Document = {"$set": {"subject.id": None, "erased": True}}
            named = changes.update_many({"subject.id": cust_id, "subject.type": "customer"}, nobody, session=session())
        with self._values as values:
            values.delete_many({"cust_id": cust_id}, session=session())
        return named.modified_count

    def _find(self, query: Document, direction: int, limit: int) -> list[Logged]:
        with self._changes as changes:
            found = changes.find(query, sort=[("_id", direction)], limit=limit, batch_size=limit + 1)
            return [_logged(document) for document in found]

    def _counter(self) -> Document:
        with self._counters as counters:
            found = counters.find_one(_COUNTER, session=session())
        assert found is not None, "the first use has made it"
        return found


def _kept(place: StoreCollection, positions: Sequence[int], kept: timedelta) -> dict[int, Document]:
    """Return what is kept beside entries, by position; MongoDB removes what has expired only when it comes to it."""
    if not positions:
        return {}
    with place as collection:
        found = collection.find({"_id": {"$in": [*positions]}, "at": {"$gte": now() - kept}})
        return {document["_id"]: document for document in found}


def _logged(document: Document) -> Logged:
    return cast(Logged, {"position": int(document.pop("_id")), **document})


def _query(filters: AuditFilters, before: int | None) -> Document:
    wanted: dict[str, Any] = {
        "subject.id": filters.subject,
        "actor.id": filters.actor,
        "type": filters.action,
        "_id": None if before is None else {"$lt": before},
        "$or": None if filters.followers else [{"cause": {"$in": OWN_CAUSES}}, {"type": {"$in": OWN_TYPES}}],
    }
    times = {operator: at for operator, at in (("$gte", filters.since), ("$lt", filters.until)) if at is not None}
    return {name: value for name, value in wanted.items() if value is not None} | ({"at": times} if times else {})
