"""The last known description of the active model in MongoDB, a module of its own because it is a port of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pymongo.errors import DuplicateKeyError

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.models.descriptions import Description

_ACTIVE: Final[Document] = {"_id": "active"}


class MongoDescriptions:
    """The `KeptDescriptions` in MongoDB."""

    def __init__(self, collection: Documents) -> None:
        self._descriptions = StoreCollection(collection)

    def get(self) -> Description | None:
        with self._descriptions as descriptions:
            found = descriptions.find_one(_ACTIVE)
        return Description(found["version"], found["segments"], found["described_at"]) if found else None

    def keep(self, description: Description) -> None:
        members = {
            "version": description.version,
            "segments": description.segments,
            "described_at": description.described_at,
        }
        older = {**_ACTIVE, "described_at": {"$lt": description.described_at}}
        with self._descriptions as descriptions, suppress(DuplicateKeyError):  # somebody else has read it later
            descriptions.update_one(older, {"$set": members}, upsert=True)
