"""Moves between segments in MongoDB: the `TransitionStore` port over the change log and the customers as they are now.

The server puts the changes of each customer together, and only what came of them leaves it. The first change after the
beginning says where the customer was then (if it had been there that long), the last one until the end where it went,
or else the first one after the end where it was. One kind of change is in no log: an import's new customers. Those
that are still where they were put are found among the customers, the others by their first change.

What those who moved owe and spend is summed up by the server, too, but asked for by their ids: ``$lookup`` takes
several times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from pymongo import timeout
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from gateway.data_access.mongo.collection import SNAPSHOT, Document, Documents, StoreCollection, at_one_moment
from gateway.data_access.mongo.segments.counts import group_of_figures, tally_of
from gateway.services.errors import PeriodTooLong
from gateway.services.events.change import Cause
from gateway.services.models.segment_snapshots import FIGURES, Amount, Tally
from gateway.services.models.transitions import Move

_CHANGES: Final = "changes"
_IMPORT: Final = "import"
_BLOCK = 20_000


class _Way(NamedTuple):
    """From where to where, and why."""

    source: str | None
    target: str | None
    cause: Cause | None


class MongoTransitions:
    """The `TransitionStore` in MongoDB.

    Parameters
    ----------
    seconds : longest time for an answer.
    """

    def __init__(self, database: Database[Document], seconds: float) -> None:
        self._changes = StoreCollection(database["changes"], hasty=True)
        self._database = database.with_options(read_concern=SNAPSHOT)
        self._seconds = seconds

    def between(self, since: datetime, until: datetime, seconds: float | None = None) -> tuple[list[Move], int]:
        seconds = self._seconds if seconds is None else min(seconds, self._seconds)
        with self._changes:
            try:
                return at_one_moment(lambda: self._between(since, until, seconds))
            except (ExecutionTimeout, NetworkTimeout) as error:
                raise PeriodTooLong(seconds) from error

    def _between(self, since: datetime, until: datetime, seconds: float) -> tuple[list[Move], int]:
        changes, period = self._database[_CHANGES], {"at": {"$gt": since, "$lte": until}}
        with timeout(seconds), self._database.client.start_session(snapshot=True) as session:
            search = _Search(self._database["customers"], session, since, until)
            later = changes.find_one({"at": {"$gt": until}}, {"_id": 1}, session=session) is not None
            pipeline = _net(since, until, later=later)
            for block in _blocks(changes.aggregate(pipeline, allowDiskUse=True, session=session)):
                search.add(block)
            erased = {**period, "segment": {"$exists": True}, "erased": True}
            return search.moves(), changes.count_documents(erased, session=session)


def _blocks(found: Iterable[Document]) -> Iterator[list[Document]]:
    documents = iter(found)
    while block := list(islice(documents, _BLOCK)):
        yield block


class _Search:
    """Adds up who moved, a block of customers at a time."""

    def __init__(self, customers: Documents, session: ClientSession, since: datetime, until: datetime) -> None:
        self._customers = customers
        self._session = session
        self._created_then: Document = {
            # As all that were created since then; the index on both would not be used for the second alone.
            "segment.id": {"$in": self._segments()},
            "updated_at": {"$gt": since},
            "created_at": {"$gt": since, "$lte": until},
            "segment.cause": _IMPORT,
            "$expr": {"$eq": ["$segment.since", "$created_at"]},
        }
        self._numbers: dict[_Way, int] = defaultdict(int)
        self._tallies: dict[_Way, Tally] = defaultdict(Tally)
        for segment, tally in self._by_segment(self._created_then).items():
            self._numbers[_Way(None, segment, _IMPORT)] = tally.size
            self._tallies[_Way(None, segment, _IMPORT)] = tally

    def add(self, block: Sequence[Document]) -> None:
        """Add some customers with what came of their changes."""
        back = self._brought_back([each["_id"] for each in block if each["open"]])
        ways: dict[_Way, list[str]] = defaultdict(list)
        for each in block:
            target = back.get(each["_id"], each.get("to"))
            cause: Cause | None = _IMPORT if each["_id"] in back else each.get("cause")
            if each["from"] != target:
                ways[_Way(each["from"], target, cause)].append(each["_id"])
        for way, ids in ways.items():
            self._numbers[way] += len(ids)
            self._tallies[way] += sum(self._by_segment({"_id": {"$in": ids}}).values(), Tally())

    def moves(self) -> list[Move]:
        """Return all that was added up."""
        return [Move(*way, number, self._tallies[way]) for way, number in self._numbers.items() if number]

    def _brought_back(self, ids: list[str]) -> dict[str, str]:
        """Return into which segments an import put customers anew that were deleted; they were no new ones."""
        if not ids:
            return {}
        found = {**self._created_then, "_id": {"$in": ids}}
        back = {
            each["_id"]: each["segment"]["id"]
            for each in self._customers.find(found, {"segment.id": 1}, session=self._session)
        }
        for segment, tally in self._by_segment({"_id": {"$in": list(back)}}).items():
            way = _Way(None, segment, _IMPORT)
            self._numbers[way] -= tally.size
            self._tallies[way] = _minus(self._tallies[way], tally)
        return back

    def _segments(self) -> list[str]:
        """Return the ids of all segments that somebody is in, which are the first of an index."""
        ids: list[Document] = [{"$sort": {"segment.id": 1}}, {"$group": {"_id": "$segment.id"}}]
        return [each["_id"] for each in self._customers.aggregate(ids, session=self._session) if each["_id"]]

    def _by_segment(self, query: Document) -> dict[str | None, Tally]:
        group = {"$group": {"_id": "$segment.id", **group_of_figures()}}
        found = self._customers.aggregate([{"$match": query}, group], session=self._session)
        return {each["_id"]: tally_of(each) for each in found}


def _minus(tally: Tally, other: Tally) -> Tally:
    both = {name: (tally.amounts[name], other.amounts[name]) for name in FIGURES}
    amounts = {name: Amount(all_.known - some.known, all_.total - some.total) for name, (all_, some) in both.items()}
    return Tally(tally.size - other.size, tally.borderline - other.borderline, amounts)


def _net(since: datetime, until: datetime, *, later: bool) -> list[Document]:
    """Return the pipeline that puts the changes of each customer together; `later` if there are any after the end."""
    pipeline = [*_first_and_last({"$gt": since, "$lte": until}, _INSIDE)]
    if later:
        after = _first_and_last({"$gt": until}, _LATER)
        names = (*_INSIDE, *_LATER)
        merged = {"_id": "$_id", **{name: {"$max": f"${name}"} for name in names}}  # each customer has one or the other
        pipeline += [{"$unionWith": {"coll": _CHANGES, "pipeline": after}}, {"$group": merged}]
    moved = {"$or": [{"$ne": ["$from", "$to"]}, "$open"]}
    return [*pipeline, {"$project": _outcome(since, until)}, {"$match": {"$expr": moved}}]


_INSIDE: Mapping[str, Document] = {
    "first": {"$first": "$segment.from"},
    "first_since": {"$first": "$segment.from_since"},
    "last": {"$last": "$segment.to"},
    "last_at": {"$last": "$at"},
    "last_cause": {"$last": "$cause"},
}
_LATER: Mapping[str, Document] = {
    "next": {"$first": "$segment.from"},
    "next_since": {"$first": "$segment.from_since"},
    "next_at": {"$first": "$at"},
}


def _first_and_last(period: Document, members: Mapping[str, Document]) -> list[Document]:
    of_customers = {"subject.type": "customer", "subject.id": {"$type": "string"}}
    return [
        {"$match": {"at": period, "segment": {"$exists": True}, **of_customers}},
        {"$sort": {"at": 1, "_id": 1}},  # as the index has them
        {"$group": {"_id": "$subject.id", **members}},
    ]


def _outcome(since: datetime, until: datetime) -> Document:
    inside, later = {"$gt": ["$last_at", None]}, {"$gt": ["$next_at", None]}
    # Whoever has no change between the end and the next one that is known was put there by an import.
    put_there = {"$and": [later, {"$gt": ["$next_since", "$last_at"]}, {"$lte": ["$next_since", until]}]}
    return {
        "from": {"$cond": [inside, _there_by("first", since), _there_by("next", since)]},
        "to": {"$cond": [later, _there_by("next", until), {"$ifNull": ["$last", None]}]},
        "cause": {"$cond": [put_there, _IMPORT, {"$ifNull": ["$last_cause", None]}]},
        # Who was deleted, or is pending, and has no later change: an import may have brought it back meanwhile.
        "open": {"$and": [{"$not": later}, {"$eq": [{"$ifNull": ["$last", None]}, None]}]},
    }


def _there_by(change: str, at: datetime) -> Document:
    """Return the segment before a change, if the customer was in it by then already; null otherwise."""
    since = {"$ifNull": [f"${change}_since", datetime.min]}
    return {"$cond": [{"$lte": [since, at]}, {"$ifNull": [f"${change}", None]}, None]}
