"""Idempotency keys in MongoDB: the `IdempotencyStore` port over one collection, whose ``_id`` is the key's hash."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bson import Binary
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from gateway.data_access.mongo.faults import store_faults
from gateway.services.access.idempotency import Claim, KeptAnswer, Record
from gateway.services.errors import StoreUnavailable

Document = dict[str, Any]

INDEXES = (
    IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
    IndexModel([("customers", ASCENDING)], name="customers"),
)
_RUNNING, _DONE = "running", "done"
_ATTEMPTS = 5
_NEVER = datetime(1970, 1, 1)


class MongoIdempotencyStore:
    """Idempotency keys in MongoDB.

    One conditional write claims a key: the unique ``_id`` decides between attempts at the same moment.

    Parameters
    ----------
    collection : with write concern majority and journal, so that no fail-over frees a claimed key.
    """

    name = "idempotency"

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection
        # What an attempt has just claimed may not have reached a majority yet, and must be seen all the same.
        self._latest = collection.with_options(read_concern=ReadConcern("local"))
        self._prepared = False

    def claim(self, claim: Claim) -> Record:
        """Claim a key that is free, or whose attempt at the same request broke off if the claim takes over.

        Return what stands under the key then; the claim has succeeded if that has its attempt.
        """
        with store_faults():
            self._prepare()
            for _ in range(_ATTEMPTS):
                if found := self._claimed(claim) or self._latest.find_one({"_id": claim.key}):
                    return _record(found)
        raise StoreUnavailable("others keep claiming and freeing the same Idempotency-Key; try again")

    def finish(self, key: str, attempt: str, answer: KeptAnswer) -> None:
        """Keep the answer if the attempt still holds the key; only its status, if a customer was erased meanwhile."""
        mine = {"_id": key, "attempt": attempt, "status": _RUNNING}
        with store_faults():
            whole = self._collection.update_one({**mine, "erased": False}, _kept(answer))
            if not whole.matched_count:
                self._collection.update_one(mine, _kept(KeptAnswer(answer.status, {}, None)))

    def break_off(self, key: str, attempt: str, at: datetime) -> None:
        """Let another attempt take the key over at once."""
        with store_faults():
            self._collection.update_one({"_id": key, "attempt": attempt}, {"$set": {"lock_until": at}})

    def release(self, key: str, attempt: str) -> None:
        """Free the key."""
        with store_faults():
            self._collection.delete_one({"_id": key, "attempt": attempt})

    def erase(self, cust_id: str) -> int:
        """Empty the answers that concern the customer; return how many. The keys stay, so that nothing is redone."""
        concerned = {"customers": cust_id}
        with store_faults():
            self._prepare()
            emptied: Document = {"answer.headers": {}, "answer.body": None, "answer.packed": False, "customers": []}
            done = self._collection.update_many({**concerned, "status": _DONE}, {"$set": emptied})
            # The answers of those that are running now will be kept without their content.
            self._collection.update_many(concerned, {"$set": {"erased": True, "customers": []}})
        return int(done.modified_count)

    def _claimed(self, claim: Claim) -> Document | None:
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
            return self._collection.find_one_and_update(
                broken_off,
                {"$set": held, "$inc": {"attempts": 1}, "$setOnInsert": new},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return None

    def _prepare(self) -> None:
        if not self._prepared:
            self._collection.create_indexes(list(INDEXES))
            self._prepared = True


def _kept(answer: KeptAnswer) -> Document:
    body = None if answer.body is None else Binary(answer.body)
    kept = {"status": answer.status, "headers": dict(answer.headers), "body": body, "packed": answer.packed}
    return {"$set": {"status": _DONE, "answer": kept}}


def _record(document: Document) -> Record:
    answer = document.get("answer")
    return Record(
        fingerprint=document["fingerprint"],
        attempt=document["attempt"],
        attempts=document["attempts"],
        first_at=document["first_at"],
        lock_until=document["lock_until"],
        answer=KeptAnswer(**answer) if answer else None,
    )
