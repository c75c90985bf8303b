"""Copies of deleted customers in MongoDB: the `DeletedCustomers` port over one collection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import cast

from pymongo import ASCENDING, DESCENDING, IndexModel

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection
from gateway.services.customers.customer import DeletedCustomer
from shared.features import CUST_ID

_COUNTS_FROM, _CLAIM = "counts_from", "claim"
_CUSTOMER = {"_id": 0, _COUNTS_FROM: 0, _CLAIM: 0}
_ORDER = [(CUST_ID, ASCENDING), ("updated_at", DESCENDING), ("deleted_at", DESCENDING)]

INDEXES = (
    IndexModel(_ORDER, name="latest"),
    IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
)


class MongoDeletedCustomers:
    """`DeletedCustomers` in MongoDB, one document for each deletion; they expire by themselves."""

    def __init__(self, collection: Documents) -> None:
        self._copies = StoreCollection(collection, INDEXES)

    def keep(self, deletion: str, copy: DeletedCustomer, counts_from: datetime) -> None:
        with self._copies as copies:
            copies.insert_one({"_id": deletion, **copy, _COUNTS_FROM: counts_from})

    def confirm(self, deletion: str) -> None:
        with self._copies as copies:
            copies.update_one({"_id": deletion}, {"$unset": {_COUNTS_FROM: ""}})

    def forget(self, deletion: str) -> None:
        self._remove({"_id": deletion})

    def claim(self, cust_id: str, claim: str, at: datetime, until: datetime) -> DeletedCustomer | None:
        query, claimed = {CUST_ID: cust_id, **_counts(at)}, {"$set": {_CLAIM: claim, _COUNTS_FROM: until}}
        with self._copies as copies:
            found = copies.find_one_and_update(query, claimed, _CUSTOMER, sort=_ORDER)
        return cast(DeletedCustomer | None, found)

    def release(self, cust_id: str, claim: str) -> None:
        released = {"$unset": {_CLAIM: "", _COUNTS_FROM: ""}}
        with self._copies as copies:
            copies.update_one({CUST_ID: cust_id, _CLAIM: claim}, released)

    def finish(self, cust_id: str, claim: str) -> bool:
        return self._remove({CUST_ID: cust_id, _CLAIM: claim}) == 1

    def forget_until(self, cust_id: str, updated_at: datetime) -> int:
        return self._remove({CUST_ID: cust_id, "updated_at": {"$lte": updated_at}})

    def erase(self, cust_id: str, created_until: datetime) -> int:
        return self._remove({CUST_ID: cust_id, "created_at": {"$lte": created_until}})

    def latest(self, cust_id: str, at: datetime) -> DeletedCustomer | None:
        with self._copies as copies:
            found = copies.find_one({CUST_ID: cust_id, **_counts(at)}, _CUSTOMER, sort=_ORDER)
        return cast(DeletedCustomer | None, found)

    def page(self, after: str | None, limit: int, at: datetime) -> list[DeletedCustomer]:
        query = _counts(at) if after is None else {CUST_ID: {"$gt": after}, **_counts(at)}
        with self._copies as copies, copies.find(query, _CUSTOMER, sort=_ORDER, batch_size=limit + 1) as found:
            return list(islice(_latest(found), limit))

    def _remove(self, query: Document) -> int:
        with self._copies as copies:
            return copies.delete_many(query).deleted_count


def _counts(at: datetime) -> Document:
    return {_COUNTS_FROM: {"$not": {"$gt": at}}}  # nor has one that counts already this field


def _latest(copies: Iterator[Document]) -> Iterator[DeletedCustomer]:
    """Yield the first copy of each customer; rarely is there another."""
    for _, of_one in groupby(copies, key=lambda copy: copy[CUST_ID]):
        yield cast(DeletedCustomer, next(of_one))
