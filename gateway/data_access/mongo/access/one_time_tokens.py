"""Tokens that sign in once, in MongoDB; a module of its own, because it is the adapter of a port of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pymongo import ASCENDING, IndexModel

from gateway.data_access.mongo.collection import Documents, StoreCollection

INDEXES: Final = (IndexModel([("until", ASCENDING)], name="expiry", expireAfterSeconds=0),)


class MongoOneTimeTokens:
    """The `OneTimeTokenStore` in MongoDB: the one who deletes a token has used it."""

    def __init__(self, collection: Documents) -> None:
        self._tokens = StoreCollection(collection)

    def keep(self, digest: bytes, key_id: str, until: datetime) -> None:
        with self._tokens as tokens:
            tokens.insert_one({"_id": digest, "key": key_id, "until": until})

    def take(self, digest: bytes, at: datetime) -> str | None:
        with self._tokens as tokens:
            found = tokens.find_one_and_delete({"_id": digest, "until": {"$gt": at}})
        return str(found["key"]) if found else None
