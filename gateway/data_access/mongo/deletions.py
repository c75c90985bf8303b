"""Copies of deleted customers in MongoDB: the `DeletedCustomers` port over one collection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import Any, cast

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collection import Collection

from gateway.data_access.mongo.faults import store_faults
from gateway.services.customers.customer import DeletedCustomer
from shared.features import CUST_ID

Document = dict[str, Any]

_COUNTS_FROM, _CLAIM = "counts_from", "claim"
_CUSTOMER = {"_id": 0, _COUNTS_FROM: 0, _CLAIM: 0}
_ORDER = [(CUST_ID, ASCENDING), ("updated_at", DESCENDING), ("deleted_at", DESCENDING)]

INDEXES = (
    IndexModel(_ORDER, name="latest"),
    IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
)


class MongoDeletedCustomers:
    """Copies of deleted customers in MongoDB, one document for each deletion; they expire by themselves."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection
        self._prepared = False

    @property
    def _copies(self) -> Collection[Document]:
        if not self._prepared:
            self._collection.create_indexes(list(INDEXES))
            self._prepared = True
        return self._collection

    def keep(self, deletion: str, copy: DeletedCustomer, counts_from: datetime) -> None:
        """Keep a copy under the deletion's own id; it counts from then on."""
        with store_faults():
            self._copies.insert_one({"_id": deletion, **copy, _COUNTS_FROM: counts_from})

    def confirm(self, deletion: str) -> None:
        """Let the copy of a deletion count now, if it is there."""
        with store_faults():
            self._copies.update_one({"_id": deletion}, {"$unset": {_COUNTS_FROM: ""}})

    def forget(self, deletion: str) -> None:
        """Remove the copy of a deletion, if it is there."""
        self._remove({"_id": deletion})

    def claim(self, cust_id: str, claim: str, at: datetime, until: datetime) -> DeletedCustomer | None:
        """Return a customer's latest copy, which does not count until then; None where there is none that counts."""
        query, claimed = {CUST_ID: cust_id, **_counts(at)}, {"$set": {_CLAIM: claim, _COUNTS_FROM: until}}
        with store_faults():
            found = self._copies.find_one_and_update(query, claimed, _CUSTOMER, sort=_ORDER)
        return cast(DeletedCustomer | None, found)

    def release(self, cust_id: str, claim: str) -> None:
        """Let the copy that was claimed so count again."""
        released = {"$unset": {_CLAIM: "", _COUNTS_FROM: ""}}
        with store_faults():
            self._copies.update_one({CUST_ID: cust_id, _CLAIM: claim}, released)

    def finish(self, cust_id: str, claim: str) -> bool:
        """Remove the copy that was claimed so; return whether it was there."""
        return self._remove({CUST_ID: cust_id, _CLAIM: claim}) == 1

    def forget_until(self, cust_id: str, updated_at: datetime) -> int:
        """Remove a customer's copies of states up to the one of `updated_at`; return how many those were."""
        return self._remove({CUST_ID: cust_id, "updated_at": {"$lte": updated_at}})

    def erase(self, cust_id: str, created_until: datetime) -> int:
        """Remove all copies of the customers of this id that were created until then; return how many."""
        return self._remove({CUST_ID: cust_id, "created_at": {"$lte": created_until}})

    def latest(self, cust_id: str, at: datetime) -> DeletedCustomer | None:
        """Return a customer's copy of the latest state (by ``updated_at``, then ``deleted_at``), or None."""
        with store_faults():
            found = self._copies.find_one({CUST_ID: cust_id, **_counts(at)}, _CUSTOMER, sort=_ORDER)
        return cast(DeletedCustomer | None, found)

    def page(self, after: str | None, limit: int, at: datetime) -> list[DeletedCustomer]:
        """Return the latest copies of up to `limit` customers with CUST_ID greater than `after`, in CUST_ID order."""
        query = _counts(at) if after is None else {CUST_ID: {"$gt": after}, **_counts(at)}
        with store_faults(), self._copies.find(query, _CUSTOMER, sort=_ORDER, batch_size=limit + 1) as found:
            return list(islice(_latest(found), limit))

    def _remove(self, query: Document) -> int:
        with store_faults():
            return self._copies.delete_many(query).deleted_count


def _counts(at: datetime) -> Document:
    return {_COUNTS_FROM: {"$not": {"$gt": at}}}  # nor has one that counts already this field


def _latest(copies: Iterator[Document]) -> Iterator[DeletedCustomer]:
    """Yield the first copy of each customer; rarely is there another."""
    for _, of_one in groupby(copies, key=lambda copy: copy[CUST_ID]):
        yield cast(DeletedCustomer, next(of_one))
