"""The windows of rate limits in MongoDB: the `QuotaStore` port, a document for each caller and rate."""

from __future__ import annotations

from typing import Any, Final

import pymongo
from pymongo import ASCENDING, IndexModel, ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from gateway.data_access.mongo.faults import store_faults
from gateway.services.access.rate_limits import Grant, Rate
from gateway.services.errors import StoreUnavailable

PATIENCE_SECONDS: Final = 0.5
"""Longest wait for a lease; a request is worth more than its exact count."""

INDEXES = (IndexModel([("ends_at", ASCENDING)], name="expiry", expireAfterSeconds=0),)
_ATTEMPTS = 3

Document = dict[str, Any]


class MongoQuotaStore:
    """Windows in MongoDB; they begin, are used up and end by the database's clock."""

    def __init__(self, collection: Collection[Document]) -> None:
        # A count that a fail-over forgets does no harm, and need not wait for the journal.
        self._collection = collection.with_options(write_concern=WriteConcern(1))
        self._prepared = False

    def take(self, key: str, rate: Rate, most: int) -> Grant:
        """Take a share of what is left of a window, in one atomic step."""
        with store_faults(), pymongo.timeout(PATIENCE_SECONDS):
            self._prepare()
            for _ in range(_ATTEMPTS):
                try:
                    return self._taken(key, rate, most)
                except DuplicateKeyError:  # another process began the window at the same moment
                    continue
        raise StoreUnavailable("others keep beginning the same window")

    def _taken(self, key: str, rate: Rate, most: int) -> Grant:
        window = self._collection.find_one_and_update(
            {"_id": f"{key}:{rate.amount}/{rate.seconds}"},
            _step(rate, most),
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert window is not None  # it is made where there is none
        return Grant(window["taken"], window["left"], window["milliseconds"] / 1000)

    def _prepare(self) -> None:
        if not self._prepared:
            self._collection.create_indexes(list(INDEXES))
            self._prepared = True


def _step(rate: Rate, most: int) -> list[Document]:
    """Return the update: a window that has ended, or never was, begins anew; then a `share` of it is taken."""
    runs = {"$gt": ["$ends_at", "$$NOW"]}  # a missing field is less than any date
    begun = {
        "ends_at": {"$cond": [runs, "$ends_at", {"$add": ["$$NOW", rate.seconds * 1000]}]},
        "left": {"$cond": [runs, "$left", rate.amount]},
    }
    eighth = {"$floor": {"$divide": ["$left", 8]}}
    share = {"$toInt": {"$min": ["$left", {"$max": [1, {"$min": [most, eighth]}]}]}}
    return [
        {"$set": begun},
        {"$set": {"taken": share, "milliseconds": {"$subtract": ["$ends_at", "$$NOW"]}}},
        {"$set": {"left": {"$subtract": ["$left", "$taken"]}}},
    ]
