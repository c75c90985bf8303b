"""Snapshots of the sizes of segments in MongoDB: the `Snapshots` port over one collection.

One document is the current snapshot with its state and the worker that leads; whoever reads it needs one look by
``_id``. The others are points in time: the last snapshot of every minute, hour and day, each kept for its own time.
Clocks of workers do not matter: the server's decides who leads and since when.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel, UpdateOne
from pymongo.errors import DuplicateKeyError

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.models.segment_snapshots import (
    Amount,
    Comparison,
    Current,
    Kind,
    Snapshot,
    State,
    Step,
    Tally,
)

INDEXES = (IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),)

KEPT: Final[Mapping[Step, timedelta]] = {
    Step.MINUTE: timedelta(days=1),
    Step.HOUR: timedelta(days=100),
    Step.DAY: timedelta(days=5 * 366),
}
"""How long points in time are kept."""
_BEGINNINGS: Mapping[Step, str] = {Step.MINUTE: "%Y%m%dT%H%M", Step.HOUR: "%Y%m%dT%H", Step.DAY: "%Y%m%d"}
_NOW: Final[Document] = {"_id": "now"}
_NEVER = datetime(1970, 1, 1)


class MongoSnapshots:
    """The `Snapshots` in MongoDB."""

    def __init__(self, collection: Documents) -> None:
        self._snapshots = StoreCollection(collection)

    def current(self) -> Current | None:
        with self._snapshots as snapshots:
            found = snapshots.find_one(_NOW, {**_READ, "alive": {"$gt": ["$until", "$$NOW"]}})
        if found is None:
            return None
        latest = found.get("latest")
        return Current(
            snapshot=_snapshot(latest) if latest else None,
            state=found["state"],
            since=found["since"],
            reason=found["reason"],
            alive=found["alive"],
            looked_at=found["until"],
            comparison=found.get("comparison"),
        )

    def page(
        self, step: Step, since: datetime | None, until: datetime | None, after: str | None, limit: int
    ) -> list[tuple[str, Snapshot]]:
        # A cursor of another step begins elsewhere; what follows is of this one. "/" is the character after ".".
        ids: Document = {"$gt": max(f"{step}.", after or ""), "$lt": f"{step}/"}
        times = {op: at for op, at in (("$gte", since), ("$lt", until)) if at is not None}
        query = {"_id": ids, **({"as_of": times} if times else {})}
        with self._snapshots as snapshots:
            found = list(snapshots.find(query, sort=[("_id", ASCENDING)], limit=limit))
            if after is None and since is not None:
                before = {"_id": ids, "as_of": {"$lt": since}}
                found = list(snapshots.find(before, sort=[("_id", DESCENDING)], limit=1)) + found
        return [(each["_id"], _snapshot(each)) for each in found[:limit]]

    def lead(self, worker: str, seconds: float) -> bool:
        milliseconds = int(seconds * 1000)
        free = {**_NOW, "$or": [{"worker": worker}, {"$expr": {"$lte": ["$until", "$$NOW"]}}]}
        held = {"$set": {"worker": worker, "until": {"$add": ["$$NOW", milliseconds]}}}
        with self._snapshots as snapshots:
            if snapshots.update_one(free, [held]).matched_count:
                return True
            if snapshots.find_one(_NOW, {"_id": 1}):
                return False
            try:  # the first of all; whoever comes next finds that the time is up
                snapshots.insert_one({**_NOW, **_FIRST})
            except DuplicateKeyError:
                return False
        return self.lead(worker, seconds)

    def note(self, worker: str, state: State, reason: str | None = None) -> None:
        noted = {"state": state, "reason": reason}
        # Since when it is so, it stays.
        since = {"$cond": [{"$eq": ["$state", state]}, "$since", "$$NOW"]}
        with self._snapshots as snapshots:
            snapshots.update_one({**_NOW, "worker": worker}, [{"$set": {**noted, "since": since}}])

    def keep(self, worker: str, snapshot: Snapshot) -> None:
        document = _document(snapshot)
        with self._snapshots as snapshots:
            snapshots.bulk_write([_point(step, snapshot.as_of, document) for step in Step])
            fresh = {"latest": document, "state": "fresh", "reason": None, "since": snapshot.as_of}
            snapshots.update_one({**_NOW, "worker": worker}, {"$set": fresh})

    def note_comparison(self, worker: str, comparison: Comparison) -> None:
        with self._snapshots as snapshots:
            snapshots.update_one({**_NOW, "worker": worker}, {"$set": {"comparison": comparison}})


_READ: Document = dict.fromkeys(("latest", "state", "since", "reason", "until", "comparison"), 1)
_FIRST: Document = {"state": "computing", "since": _NEVER, "reason": None, "worker": None, "until": _NEVER}


def _point(step: Step, at: datetime, document: Document) -> UpdateOne:
    """Return the write of the last snapshot of a minute, hour or day; one that is older than what is there stays out.

    Such a one comes from a worker that was held up, and meanwhile another has counted.
    """
    point = {"_id": f"{step}.{at:{_BEGINNINGS[step]}}", **document, "expires_at": at + KEPT[step]}
    latest = {"$cond": [{"$gt": ["$as_of", at]}, "$$ROOT", {"$literal": point}]}
    return UpdateOne({"_id": point["_id"]}, [{"$replaceWith": latest}], upsert=True)


def _document(snapshot: Snapshot) -> Document:
    return {
        "as_of": snapshot.as_of,
        "position": snapshot.position,
        "model_version": snapshot.model_version,
        "tallies": [_tally(kind, tally) for kind, tally in snapshot.tallies.items()],
    }


def _tally(kind: Kind, tally: Tally) -> Document:
    amounts = {name: [amount.known, amount.total] for name, amount in tally.amounts.items()}
    return {**kind._asdict(), "size": tally.size, "borderline": tally.borderline, "amounts": amounts}


def _snapshot(document: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        as_of=document["as_of"],
        tallies={Kind(each["segment"], each["version"]): _read(each) for each in document["tallies"]},
        position=document["position"],
        model_version=document["model_version"],
    )


def _read(document: Mapping[str, Any]) -> Tally:
    amounts = {name: Amount(*amount) for name, amount in document["amounts"].items()}
    return Tally(document["size"], document["borderline"], amounts)
