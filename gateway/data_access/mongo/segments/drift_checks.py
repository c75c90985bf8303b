"""The last check for drift in MongoDB: the `DriftChecks` port over one small document."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pymongo.errors import DuplicateKeyError

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.models.drift_watch import DriftCheck
from shared.model_contract import Drift

_LAST: Final[Document] = {"_id": "stored"}
_LONG_AGO: Final = datetime(1970, 1, 1)


class MongoDriftChecks:
    """The `DriftChecks` in MongoDB; times are the server's."""

    def __init__(self, collection: Documents) -> None:
        self._checks = StoreCollection(collection)

    def latest(self) -> DriftCheck | None:
        with self._checks as checks:
            found = checks.find_one({**_LAST, "at": {"$exists": True}})
        if found is None:
            return None
        return DriftCheck(
            found["at"], found["model_version"], found["verdict"], found["indexes"], found.get("customers", 0)
        )

    def claim(self, version: str, age: timedelta, seconds: float) -> bool:
        old = {"$lte": ["$at", {"$subtract": ["$$NOW", int(age.total_seconds() * 1000)]}]}  # also if there is none
        due = {"$or": [old, {"$ne": ["$model_version", version]}]}
        free = {**_LAST, "$expr": {"$and": [{"$lte": ["$until", "$$NOW"]}, due]}}
        claimed = {"$set": {"until": {"$add": ["$$NOW", int(seconds * 1000)]}}}
        with self._checks as checks:
            if checks.update_one(free, [claimed]).matched_count:
                return True
            if checks.find_one(_LAST, {"_id": 1}):
                return False
            try:
                checks.insert_one({**_LAST, "until": _LONG_AGO})
            except DuplicateKeyError:
                return False
        return self.claim(version, age, seconds)

    def keep(self, found: Drift, customers: int = 0) -> None:
        indexes = {each["feature"]: each["psi"] for each in found["features"]}
        members = {
            "model_version": found["model_version"],
            "verdict": found["verdict"],
            "indexes": indexes,
            "customers": customers,
        }
        kept = {
            "$set": {**{name: {"$literal": value} for name, value in members.items()}, "at": "$$NOW", "until": "$$NOW"}
        }
        with self._checks as checks:
            checks.update_one(_LAST, [kept], upsert=True)
