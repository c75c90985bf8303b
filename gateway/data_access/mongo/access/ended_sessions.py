"""Sessions that have been ended, in MongoDB; a module of its own, because it is the adapter of a port of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pymongo import ASCENDING, IndexModel

from gateway.data_access.mongo.collection import Documents, StoreCollection

INDEXES: Final = (IndexModel([("until", ASCENDING)], name="expiry", expireAfterSeconds=0),)


class MongoEndedSessions:
    """The `EndedSessionStore` in MongoDB, which removes what is over itself."""

    def __init__(self, collection: Documents) -> None:
        self._ended = StoreCollection(collection)

    def end(self, session_id: str, until: datetime) -> None:
        with self._ended as ended:
            ended.update_one({"_id": session_id}, {"$set": {"until": until}}, upsert=True)

    def has_ended(self, session_id: str) -> bool:
        with self._ended as ended:
            return ended.find_one({"_id": session_id}, {"_id": 1}) is not None
