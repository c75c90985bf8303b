"""Idempotency keys in MongoDB: the `IdempotencyStore` port over one collection, whose ``_id`` is the key's hash."""

from __future__ import annotations

from datetime import datetime

from bson import Binary
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.access.idempotency import Claim, KeyRecord, StoredResponse
from gateway.services.errors import StoreUnavailable

INDEXES = (
    IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
    IndexModel([("customers", ASCENDING)], name="customers"),
)
_RUNNING, _DONE = "running", "done"
_ATTEMPTS = 5
_NEVER = datetime(1970, 1, 1)


class MongoIdempotencyStore:
    """The `IdempotencyStore` in MongoDB.

    One conditional write claims a key: the unique ``_id`` decides between attempts at the same moment.

    Parameters
    ----------
    collection : with write concern majority and journal, so that no fail-over frees a claimed key.
    """

    name = "idempotency"

    def __init__(self, collection: Documents) -> None:
        self._records = StoreCollection(collection)
        # What an attempt has just claimed may not have reached a majority yet, and must be seen all the same.
        self._latest = collection.with_options(read_concern=ReadConcern("local"))

    def claim(self, claim: Claim) -> KeyRecord:
        with self._records as records:
            for _ in range(_ATTEMPTS):
                if found := _claimed(records, claim) or self._latest.find_one({"_id": claim.key}):
                    return _record(found)
        raise StoreUnavailable("Other requests keep using the same Idempotency-Key; try again.")

    def finish(self, key: str, attempt: str, answer: StoredResponse) -> None:
        mine = {"_id": key, "attempt": attempt, "status": _RUNNING}
        with self._records as records:
            whole = records.update_one({**mine, "erased": False}, _kept(answer))
            if not whole.matched_count:
                records.update_one(mine, _kept(StoredResponse(answer.status, {}, None)))

    def break_off(self, key: str, attempt: str, at: datetime) -> None:
        with self._records as records:
            records.update_one({"_id": key, "attempt": attempt}, {"$set": {"lock_until": at}})

    def release(self, key: str, attempt: str) -> None:
        with self._records as records:
            records.delete_one({"_id": key, "attempt": attempt})

    def erase(self, cust_id: str) -> int:
        concerned = {"customers": cust_id}
        with self._records as records:
            emptied: Document = {"answer.headers": {}, "answer.body": None, "answer.packed": False, "customers": []}
            # The keys stay, so that nothing is redone.
            done = records.update_many({**concerned, "status": _DONE}, {"$set": emptied})
            # The answers of those that are running now will be kept without their content.
            records.update_many(concerned, {"$set": {"erased": True, "customers": []}})
        return int(done.modified_count)


def _claimed(records: Documents, claim: Claim) -> Document | None:
    """Return the record with the claim in it, or None if somebody else holds the key."""
    broken_off = {
        "_id": claim.key,
        "fingerprint": claim.fingerprint,
        "status": _RUNNING,
        "lock_until": {"$lte": claim.at if claim.takes_over else _NEVER},
    }
    held = {"attempt": claim.attempt, "lock_until": claim.lock_until}
    new = {"first_at": claim.at, "expires_at": claim.expires_at, "erased": False, "customers": [*claim.customers]}
    try:
        return records.find_one_and_update(
            broken_off,
            {"$set": held, "$inc": {"attempts": 1}, "$setOnInsert": new},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    except DuplicateKeyError:
        return None


def _kept(answer: StoredResponse) -> Document:
    body = None if answer.body is None else Binary(answer.body)
    kept = {"status": answer.status, "headers": dict(answer.headers), "body": body, "packed": answer.packed}
    return {"$set": {"status": _DONE, "answer": kept}}


def _record(document: Document) -> KeyRecord:
    answer = document.get("answer")
    return KeyRecord(
        fingerprint=document["fingerprint"],
        attempt=document["attempt"],
        attempts=document["attempts"],
        first_at=document["first_at"],
        lock_until=document["lock_until"],
        answer=StoredResponse(**answer) if answer else None,
    )
