"""API keys in MongoDB: the `KeyStore` port over one collection."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo.collection import Collection

from gateway.data_access.mongo.faults import store_faults
from gateway.services.access.api_keys import ApiKey, Rotation
from gateway.services.principal import Scope

Document = dict[str, Any]


class MongoKeyStore:
    """API keys in MongoDB, keyed by their id as ``_id``; that index serves every query."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._keys = collection

    def get(self, key_id: str) -> ApiKey | None:
        """Return one key, or None."""
        with store_faults():
            document = self._keys.find_one({"_id": key_id})
        return _key(document) if document else None

    def page(self, after: str | None, limit: int) -> list[ApiKey]:
        """Return up to `limit` keys with ids greater than `after`, in the order of their ids."""
        query: Document = {} if after is None else {"_id": {"$gt": after}}
        with store_faults():
            return [_key(document) for document in self._keys.find(query, sort=[("_id", 1)], limit=limit)]

    def insert(self, key: ApiKey) -> None:
        """Store a new key."""
        with store_faults():
            self._keys.insert_one(_document(key))

    def revoke(self, key_id: str, at: datetime) -> bool:
        """Revoke a key, unless it is revoked already; return whether there is such a key."""
        with store_faults():
            # A pipeline, so that one operation keeps the time of the first revocation.
            first = {"$set": {"revoked_at": {"$ifNull": ["$revoked_at", at]}}}
            return self._keys.update_one({"_id": key_id}, [first]).matched_count == 1

    def rotate(self, key: ApiKey, rotation: Rotation) -> bool:
        """Give the key a new secret if it still has that of `key` and is not revoked; return whether it did."""
        same = {"_id": key.id, "digest": key.digest, "revoked_at": None}
        with store_faults():
            new = {**rotation._asdict(), "old_digest": key.digest}
            return self._keys.update_one(same, {"$set": new}).matched_count == 1

    def used(self, key_id: str, at: datetime) -> None:
        """Note that a key was used, unless a later use is noted."""
        with store_faults():
            self._keys.update_one({"_id": key_id}, {"$max": {"last_used_at": at}})


_MEMBERS = tuple(name for name in ApiKey.__slots__ if name != "id")
_SCOPES = frozenset(Scope)


def _document(key: ApiKey) -> Document:
    return {"_id": key.id, **{name: getattr(key, name) for name in _MEMBERS}, "scopes": sorted(key.scopes)}


def _key(document: Document) -> ApiKey:
    members = {name: document[name] for name in _MEMBERS}
    # A scope that a later version of the service gave, and this one does not know, opens nothing here.
    members["scopes"] = _SCOPES.intersection(document["scopes"])
    return ApiKey(id=document["_id"], **members)
