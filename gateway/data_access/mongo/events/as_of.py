"""How it was at an earlier time: the `PastSegments` port over customers, outboxes and the change log.

All that an answer is made of is read as of one moment: a customer whose segment changes meanwhile would else be found
in both places, or in neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

from pymongo import ASCENDING, DESCENDING, IndexModel, timeout
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout

from gateway.data_access.mongo.collection import SNAPSHOT, Document, Documents, StoreCollection, at_one_moment
from gateway.data_access.mongo.events.outboxes import FULL
from gateway.services.errors import QueryTimeout
from gateway.services.events.as_of import Past, PastAssignment

Answer = TypeVar("Answer")

_ANY_TEXT: Final[Document] = {"$gt": ""}
LEFT_INDEX: Final = IndexModel(
    [
        ("segment.from", ASCENDING),
        ("subject.id", ASCENDING),
        ("at", ASCENDING),
        ("segment.from_since", ASCENDING),
    ],
    name="left_segment",
    partialFilterExpression={"segment.from": _ANY_TEXT},
)
"""Of the change log: who left a segment, by CUST_ID; all that `_left` asks about is in it."""

_CUSTOMERS, _DELETED, _FREE, _CHANGES = "customers", "deleted_customers", "outbox", "changes"


class MongoPastSegments:
    """`PastSegments` in MongoDB.

    Parameters
    ----------
    seconds : after which the server stops a query; an answer takes several.
    """

    def __init__(self, database: Database[Document], seconds: float = 3.0) -> None:
        self._guard = StoreCollection(database[_CUSTOMERS])
        self._database = database.with_options(read_concern=SNAPSHOT)
        self._seconds = seconds

    def of_customer(self, cust_id: str, at: datetime) -> Past | None:
        return self._read(lambda reader: _of_customer(reader, cust_id, at))

    def members(self, segment_id: str, at: datetime, after: str | None, limit: int) -> list[str]:
        return self._read(lambda reader: _members(reader, segment_id, at, after, limit))

    def sizes(self, at: datetime) -> Mapping[str, int]:
        return self._read(lambda reader: _sizes(reader, at))

    def _read(self, read: Callable[[_Reader], Answer]) -> Answer:
        def once() -> Answer:
            with self._database.client.start_session(snapshot=True) as session:
                return read(_Reader(self._database, session, self._seconds))

        with self._guard, _stopped_after(self._seconds):
            return at_one_moment(once)


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    with timeout(0):  # or the driver would give up when the server does, as if it were gone
        try:
            yield
        except ExecutionTimeout as error:
            raise QueryTimeout(seconds) from error


class _Reader:
    """Reads collections as they were at one moment."""

    def __init__(self, database: Database[Document], session: ClientSession, seconds: float) -> None:
        self._database = database
        self._session = session
        self._milliseconds = max(1, int(seconds * 1000))

    def find(self, name: str, query: Document, fields: Document, **options: Any) -> list[Document]:
        """Return documents of a collection."""
        options |= {"session": self._session, "max_time_ms": self._milliseconds}
        return list(self._database[name].find(query, fields, **options))

    def one(self, name: str, query: Document, fields: Document, **options: Any) -> Document | None:
        """Return the first of some documents, or None."""
        found = self.find(name, query, fields, limit=1, **options)
        return found[0] if found else None

    def members(self, query: Document) -> Counter[str]:
        """Return how many customers match, by segment: one after the other takes half the time of a group."""
        customers: Documents = self._database[_CUSTOMERS]
        options: dict[str, Any] = {"session": self._session, "maxTimeMS": self._milliseconds}
        ids = customers.distinct("segment.id", {"segment.id": _ANY_TEXT}, **options)
        return Counter({each: customers.count_documents({"segment.id": each, **query}, **options) for each in ids})

    def left(self, name: str, query: Document, *stages: Document) -> Counter[str]:
        """Return how many entries match, after some stages that find them, by the segment that they say was left."""
        pipeline: list[Document] = [
            *stages,
            {"$match": {"segment.from": _ANY_TEXT, **query}},
            {"$group": {"_id": "$segment.from", "count": {"$sum": 1}}},
        ]
        options: dict[str, Any] = {"session": self._session, "maxTimeMS": self._milliseconds}
        return Counter({each["_id"]: each["count"] for each in self._database[name].aggregate(pipeline, **options)})


def _was_there(at: datetime) -> Document:
    """Return what holds for entries about a customer that was in the segment which they say it has left."""
    return {"segment.from_since": {"$lte": at}, "at": {"$gt": at}}


def _is_there(at: datetime) -> Document:
    """Return what holds for customers that have been in their segment since then; those of before say no time."""
    return {"segment.since": {"$not": {"$gt": at}}}


def _members(reader: _Reader, segment_id: str, at: datetime, after: str | None, limit: int) -> list[str]:
    further = _ANY_TEXT if after is None else {"$gt": after}
    left = {"segment.from": segment_id, **_was_there(at)}
    waits = {"_id": further, **FULL, "outbox": {"$elemMatch": left}}
    by_id: Document = {"sort": [("_id", ASCENDING)], "limit": limit}
    found = {
        document["_id"]
        for name, query in (
            (_CUSTOMERS, {"segment.id": segment_id, "_id": further, **_is_there(at)}),
            (_CUSTOMERS, waits),
            (_DELETED, waits),
        )
        for document in reader.find(name, query, {"_id": 1}, **by_id)
    }
    gone = {"_id": 0, "subject.id": 1}
    query = {"subject.id": further, "subject.type": "customer", **left}  # or it is the erasure of one
    found |= {
        entry["subject"]["id"]
        for entry in reader.find(_CHANGES, query, gone, sort=[("subject.id", ASCENDING)], limit=limit)
    }
    return sorted(found)[:limit]


def _sizes(reader: _Reader, at: datetime) -> Mapping[str, int]:
    left = _was_there(at)
    waiting: tuple[Document, ...] = ({"$match": FULL}, {"$unwind": "$outbox"})
    not_logged: Document = {"$match": {"$expr": {"$gt": ["$outbox.seq", {"$ifNull": ["$logged", 0]}]}}}
    entries: Document = {"$replaceRoot": {"newRoot": "$outbox"}}
    counts = reader.members(_is_there(at)) + reader.left(_CHANGES, left)
    for name in (_CUSTOMERS, _DELETED):
        counts += reader.left(name, left, *waiting, not_logged, entries)
    return counts + reader.left(_FREE, left, *waiting, entries)


def _of_customer(reader: _Reader, cust_id: str, at: datetime) -> Past | None:
    fields = {"segment": 1, "created_at": 1, "deleted_at": 1, "outbox": 1}
    stored = reader.one(_CUSTOMERS, {"_id": cust_id}, fields)
    segment = stored["segment"] if stored else None
    if segment and segment.get("since", at) <= at:  # who does not say since when has been there since before the log
        return Past(segment["id"], segment.get("since"), _unchanged(segment, at))
    copy = reader.one(_DELETED, {"_id": cust_id}, fields)
    waiting = [entry for document in (copy, stored) if document for entry in document.get("outbox", ())]
    earlier, later = _entries_around(reader, cust_id, at, waiting)
    left = _left(reader, cust_id, at, waiting)
    if left:
        return Past(left["segment"]["from"], left["segment"]["from_since"])
    return Past(None) if _existed(at, stored, copy, earlier, later) else None


def _unchanged(segment: Document, at: datetime) -> PastAssignment | None:
    """Return the assignment of now, where it is that of then."""
    if segment["assigned_at"] > at:
        return None
    return PastAssignment(segment["confidence"], segment["rival"], segment["model_version"], segment["assigned_at"])


def _left(reader: _Reader, cust_id: str, at: datetime, waiting: list[Document]) -> Document | None:
    """Return the entry by which the customer left the segment in which it was."""
    for entry in waiting:
        move = entry.get("segment")
        if move and move["from"] and move["from_since"] <= at < entry["at"]:
            return entry
    query = {"subject.id": cust_id, "subject.type": "customer", "segment.from": _ANY_TEXT, **_was_there(at)}
    return reader.one(_CHANGES, query, {"segment": 1})


def _entries_around(
    reader: _Reader, cust_id: str, at: datetime, waiting: list[Document]
) -> tuple[Document | None, Document | None]:
    """Return the customer's last entry until then, and the first one after it."""
    mine, fields = {"subject.id": cust_id, "subject.type": "customer"}, {"type": 1, "at": 1, "created_at": 1}
    before = [entry for entry in waiting if entry["at"] <= at]
    after = [entry for entry in waiting if entry["at"] > at]
    earlier = before[-1] if before else None
    later = reader.one(_CHANGES, {**mine, "at": {"$gt": at}}, fields, sort=[("_id", ASCENDING)])
    return (
        earlier or reader.one(_CHANGES, {**mine, "at": {"$lte": at}}, fields, sort=[("_id", DESCENDING)]),
        later or (after[0] if after else None),
    )


def _existed(
    at: datetime, stored: Document | None, copy: Document | None, earlier: Document | None, later: Document | None
) -> bool:
    """Return whether there was a customer, who had no segment."""
    if earlier and earlier["type"] not in _GONE:
        return True
    since = earlier["at"] if earlier else datetime.min
    begun = [stored["created_at"]] if stored else []
    begun += [copy["created_at"]] if copy and copy["deleted_at"] > at else []
    # What was created by an import has no entry of that; a later one says when it was.
    begun += [later["created_at"]] if later and later["type"] != "customer.restored" and "created_at" in later else []
    return any(since < created_at <= at for created_at in begun)


_GONE = ("customer.deleted", "customer.erased")
