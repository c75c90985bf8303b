"""Counting customers in MongoDB: the `SegmentCounter` port over their collection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo import timeout
from pymongo.errors import OperationFailure

from gateway.data_access.mongo.collection import SNAPSHOT, Document, Documents, StoreCollection, at_one_moment
from gateway.data_access.mongo.customer_queries import PATHS
from gateway.services.models.segment_snapshots import FIGURES, MONEY, UTILISATION, Amount, Kind, Tallies, Tally
from shared.contract import BORDERLINE
from shared.features import BY_NAME

PASS_SECONDS = 240.0
"""Longest time to count: for longer than five minutes MongoDB does not keep what a moment looked like."""
_NO_COLLECTION = 26
_NULLABLE = {name for name in MONEY if BY_NAME[name].nullable}


def group_of_figures() -> Document:
    """Return the accumulators of a ``$group`` of customers that `tally_of` reads.

    Sums leave nulls out; how many there are is counted for the columns that may be null alone, since each accumulator
    costs some tenths of a microsecond a customer.
    """
    path = f"${PATHS['confidence']}"
    return {
        "size": {"$sum": 1},
        "borderline": {"$sum": {"$cond": [{"$lt": [{"$ifNull": [path, 1]}, BORDERLINE]}, 1, 0]}},
        **{name: {"$sum": f"${name}"} for name in MONEY},
        **{f"known_{name}": {"$sum": {"$cond": [f"${name}", 1, 0]}} for name in _NULLABLE},  # it is greater than 0
        UTILISATION: {"$sum": {"$divide": ["$BALANCE", "$CREDIT_LIMIT"]}},
    }


def tally_of(group: Mapping[str, Any]) -> Tally:
    """Return what `group_of_figures` made of some customers."""
    known = {name: group.get(f"known_{name}", group["size"]) for name in MONEY}
    known[UTILISATION] = known["CREDIT_LIMIT"]
    amounts = {name: Amount(known[name], float(group[name])) for name in FIGURES}
    return Tally(group["size"], group["borderline"], amounts)


class MongoSegmentCounter:
    """The `SegmentCounter` in MongoDB."""

    def __init__(self, customers: Documents) -> None:
        self._customers = StoreCollection(customers)
        self._snapshot = customers.with_options(read_concern=SNAPSHOT)

    def mark(self) -> str:
        # The server counts the writes to each collection, whoever makes them: also those of an import, which are in no
        # log, and those that wait in outboxes. It begins anew when it starts, and each member has its own count.
        with self._customers as customers:
            hello = customers.database.client.admin.command("hello")
            try:
                found = list(customers.aggregate([{"$collStats": {"latencyStats": {}}}]))
            except OperationFailure as error:
                if error.code != _NO_COLLECTION:
                    raise
                found = []
        process = hello.get("topologyVersion", {}).get("processId")
        return ":".join(map(str, (process, *(each["latencyStats"]["writes"]["ops"] for each in found))))

    def count(self) -> tuple[datetime, Tallies]:
        kind = {"segment": f"${PATHS['segment']}", "version": f"${PATHS['model_version']}"}
        pipeline = [{"$group": {"_id": kind, **group_of_figures()}}]
        with self._customers as customers:
            at: datetime = customers.database.client.admin.command("hello")["localTime"]
        with timeout(PASS_SECONDS), self._customers:
            found = at_one_moment(lambda: list(self._snapshot.aggregate(pipeline)))
        return at, {Kind(each["_id"].get("segment"), each["_id"].get("version")): tally_of(each) for each in found}

    def is_empty(self) -> bool:
        with self._customers as customers:
            return customers.find_one({}, {"_id": 1}) is None
