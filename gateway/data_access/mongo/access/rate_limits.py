"""The windows of rate limits in MongoDB: the `QuotaStore` port, a document for each caller and rate."""

from __future__ import annotations

from typing import Final

import pymongo
from pymongo import ASCENDING, IndexModel, ReturnDocument, WriteConcern
from pymongo.errors import DuplicateKeyError

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.access.rate_limits import Grant, Rate
from gateway.services.errors import StoreUnavailable

LEASE_TIMEOUT_SECONDS: Final = 0.5
"""Longest wait for a lease; a request is worth more than its exact count."""

INDEXES = (IndexModel([("ends_at", ASCENDING)], name="expiry", expireAfterSeconds=0),)
_ATTEMPTS = 3


class MongoQuotaStore:
    """The `QuotaStore` in MongoDB: windows begin, are used up and end by the database's clock."""

    def __init__(self, collection: Documents) -> None:
        # A count that a fail-over forgets does no harm, and need not wait for the journal.
        self._windows = StoreCollection(collection.with_options(write_concern=WriteConcern(1)), hasty=True)

    def take(self, key: str, rate: Rate, most: int) -> Grant:
        with pymongo.timeout(LEASE_TIMEOUT_SECONDS), self._windows as windows:
            for _ in range(_ATTEMPTS):
                try:
                    return _taken(windows, key, rate, most)
                except DuplicateKeyError:  # another process began the window at the same moment
                    continue
        raise StoreUnavailable("The window of the rate limit could not be begun.")


def _taken(windows: Documents, key: str, rate: Rate, most: int) -> Grant:
    window = windows.find_one_and_update(
        {"_id": f"{key}:{rate.amount}/{rate.seconds}"},
        _step(rate, most),
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert window is not None  # it is made where there is none
    return Grant(window["taken"], window["left"], window["milliseconds"] / 1000)


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
