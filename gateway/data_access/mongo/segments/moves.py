"""Moves between segments in MongoDB: the `Moves` port over the change log, with the customers as they are now.

The server puts the changes of each customer together, and only what came of them leaves it. The first change after the
beginning says where the customer was then (if it had been there that long), the last one until the end where it went,
or else the first one after the end where it was. One kind of change is in no log: an import's new customers. Those
that are still where they were put are found among the customers, the others by their first change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from pymongo import timeout
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from gateway.data_access.mongo.collection import SNAPSHOT, Document, StoreCollection, at_one_moment
from gateway.data_access.mongo.segments.census import group_of_figures, tally_of
from gateway.services.errors import PeriodTooLong
from gateway.services.models.segment_snapshots import FIGURES, Amount, Tally
from gateway.services.models.transitions import Move

_IMPORT: Final = "import"
_Found = dict[tuple[str | None, str | None, str | None], tuple[int, Tally]]


class MongoMoves:
    """The `Moves` in MongoDB.

    Parameters
    ----------
    seconds : longest time for an answer.
    """

    def __init__(self, database: Database[Document], seconds: float) -> None:
        self._changes = StoreCollection(database["changes"], hasty=True)
        self._database = database.with_options(read_concern=SNAPSHOT)
        self._seconds = seconds

    def between(self, since: datetime, until: datetime) -> tuple[list[Move], int]:
        with self._changes:
            try:
                return at_one_moment(lambda: self._between(since, until))
            except (ExecutionTimeout, NetworkTimeout) as error:
                raise PeriodTooLong(self._seconds) from error

    def _between(self, since: datetime, until: datetime) -> tuple[list[Move], int]:
        changes = self._database["changes"]
        period = {"at": {"$gt": since, "$lte": until}, "segment": {"$exists": True}}
        with timeout(self._seconds), self._database.client.start_session(snapshot=True) as session:
            found = self._imported(since, until, session)
            for each in changes.aggregate(_net(since, until), allowDiskUse=True, session=session):
                _add(found, each)
            erased = changes.count_documents({**period, "erased": True}, session=session)
        return [Move(*key, *value) for key, value in found.items() if value[0]], erased  # type: ignore[arg-type]

    def _imported(self, since: datetime, until: datetime, session: ClientSession) -> _Found:
        """Return those that an import created then, and that are still where it put them."""
        created = {
            "updated_at": {"$gt": since},  # as all that were created since then; there is an index
            "created_at": {"$gt": since, "$lte": until},
            "segment.cause": _IMPORT,
            "$expr": {"$eq": ["$segment.since", "$created_at"]},
        }
        group = {"$group": {"_id": "$segment.id", **group_of_figures()}}
        found = self._database["customers"].aggregate([{"$match": created}, group], session=session)
        return {(None, each["_id"], _IMPORT): (each["size"], tally_of(each)) for each in found}


def _add(found: _Found, group: Mapping[str, Any]) -> None:
    """Add a group of customers who moved; those that came by an import again were found as new ones."""
    kind, tally = group["_id"], tally_of(group)
    source, target = kind.get("from"), kind.get("to")
    if source != target:
        key = (source, target, kind.get("cause"))
        customers, there = found.get(key, (0, Tally()))
        found[key] = (customers + group["customers"], there + tally)
    if kind["again"]:
        key = (None, target, _IMPORT)
        customers, there = found[key]
        found[key] = (customers - group["customers"], _minus(there, tally))


def _minus(tally: Tally, other: Tally) -> Tally:
    amounts = {
        name: Amount(
            tally.amounts[name].known - other.amounts[name].known, tally.amounts[name].total - other.amounts[name].total
        )
        for name in FIGURES
    }
    return Tally(tally.size - other.size, tally.borderline - other.borderline, amounts)


def _net(since: datetime, until: datetime) -> list[Document]:
    """Return the pipeline that puts the changes of each customer together, and then equal moves."""
    return [*_by_customer(since, until), *_outcome(since, until), *_by_move()]


def _by_customer(since: datetime, until: datetime) -> Iterator[Document]:
    yield {
        "$match": {
            "at": {"$gt": since},
            "segment": {"$exists": True},
            "subject.type": "customer",
            "subject.id": {"$ne": None},
        }
    }
    order = {"at": "$at", "position": "$_id"}  # these decide which is the first and the last
    before = {**order, "id": "$segment.from", "since": "$segment.from_since"}
    after = {**order, "id": "$segment.to", "cause": "$cause"}
    early = {"$lte": ["$at", until]}
    yield {
        "$group": {
            "_id": "$subject.id",
            "first": {"$min": before},
            "last": {"$max": {"$cond": [early, after, None]}},
            "next": {"$min": {"$cond": [early, None, before]}},
        }
    }


def _outcome(since: datetime, until: datetime) -> Iterator[Document]:
    # Who was deleted, or is pending, and has no later change: an import may have brought it back meanwhile.
    put_there = {"$and": [{"$gt": ["$next.since", "$last.at"]}, {"$lte": ["$next.since", until]}]}
    open_end = {"$and": [{"$eq": ["$next", None]}, {"$eq": ["$last.id", None]}]}
    yield {
        "$set": {
            "from": _there_by("first", since),
            "to": {"$cond": [{"$eq": ["$next", None]}, "$last.id", _there_by("next", until)]},
            "cause": {"$cond": [put_there, _IMPORT, "$last.cause"]},
            "open": open_end,
        }
    }
    yield {"$match": {"$expr": {"$or": [{"$ne": ["$from", "$to"]}, "$open"]}}}
    yield {"$lookup": {"from": "customers", "localField": "_id", "foreignField": "_id", "as": "now"}}
    yield {"$set": {"now": {"$first": "$now"}}}
    put_back = {
        "$and": [
            "$open",
            {"$eq": ["$now.segment.cause", _IMPORT]},
            {"$eq": ["$now.segment.since", "$now.created_at"]},
            {"$gt": ["$now.created_at", since]},
            {"$lte": ["$now.created_at", until]},
        ]
    }
    yield {"$set": {"again": put_back}}
    yield {
        "$set": {
            "to": {"$cond": ["$again", "$now.segment.id", "$to"]},
            "cause": {"$cond": ["$again", _IMPORT, "$cause"]},
        }
    }


def _there_by(change: str, at: datetime) -> Document:
    """Return the segment before a change, if the customer was in it by then already; null otherwise."""
    since = f"${change}.since"
    return {"$cond": [{"$lte": [{"$ifNull": [since, datetime.min]}, at]}, f"${change}.id", None]}


def _by_move() -> Iterator[Document]:
    yield {"$match": {"$expr": {"$or": [{"$ne": ["$from", "$to"]}, "$again"]}}}
    kind = {name: f"${name}" for name in ("from", "to", "cause", "again")}
    stored: Document = {"$type": "$now._id"}
    yield {"$set": {"stored": {"$cond": [{"$eq": [stored, "missing"]}, 0, 1]}}}
    yield {"$replaceWith": {"$mergeObjects": ["$now", {"kind": kind, "stored": "$stored"}]}}
    figures = {**group_of_figures(), "size": {"$sum": "$stored"}}
    yield {"$group": {"_id": "$kind", "customers": {"$sum": 1}, **figures}}
