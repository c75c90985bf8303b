"""API keys in MongoDB: the `KeyStore` port over one collection."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pymongo import timeout

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.services.access.api_keys import ApiKey, Rotation
from gateway.services.principal import Scope

READ_SECONDS: Final = 1.0
"""Longest wait for a key, which every request needs first: where one is known, work that needs no database goes on."""


class MongoKeyStore:
    """The `KeyStore` in MongoDB: keys by their id as ``_id``, whose index serves every query."""

    def __init__(self, collection: Documents) -> None:
        self._keys = StoreCollection(collection, hasty=True)

    def get(self, key_id: str) -> ApiKey | None:
        with timeout(READ_SECONDS), self._keys as keys:
            document = keys.find_one({"_id": key_id})
        return _key(document) if document else None

    def page(self, after: str | None, limit: int) -> list[ApiKey]:
        query: Document = {} if after is None else {"_id": {"$gt": after}}
        with self._keys as keys:
            return [_key(document) for document in keys.find(query, sort=[("_id", 1)], limit=limit)]

    def insert(self, key: ApiKey) -> None:
        with self._keys as keys:
            keys.insert_one(_document(key), session=session())

    def revoke(self, key_id: str, at: datetime) -> bool:
        # A pipeline, so that one operation keeps the time of the first revocation.
        first = {"$set": {"revoked_at": {"$ifNull": ["$revoked_at", at]}}}
        with self._keys as keys:
            return keys.update_one({"_id": key_id}, [first], session=session()).matched_count == 1

    def rotate(self, key: ApiKey, rotation: Rotation) -> bool:
        same = {"_id": key.id, "digest": key.digest, "revoked_at": None}
        new = {**rotation._asdict(), "old_digest": key.digest}
        with self._keys as keys:
            return keys.update_one(same, {"$set": new}, session=session()).matched_count == 1

    def used(self, key_id: str, at: datetime) -> None:
        with self._keys as keys:
            keys.update_one({"_id": key_id}, {"$max": {"last_used_at": at}})


_MEMBERS = tuple(name for name in ApiKey.__slots__ if name != "id")
_SCOPES = frozenset(Scope)


def _document(key: ApiKey) -> Document:
    return {"_id": key.id, **{name: getattr(key, name) for name in _MEMBERS}, "scopes": sorted(key.scopes)}


def _key(document: Document) -> ApiKey:
    members = {name: document[name] for name in _MEMBERS}
    # A scope that a later version of the service gave, and this one does not know, opens nothing here.
    members["scopes"] = _SCOPES.intersection(document["scopes"])
    return ApiKey(id=document["_id"], **members)
