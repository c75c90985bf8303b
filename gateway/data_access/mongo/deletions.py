"""Copies of deleted customers in MongoDB: the `DeletedCustomers` port over one collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pymongo import ASCENDING, IndexModel, UpdateOne

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.data_access.mongo.customers import customer_of, take
from gateway.data_access.mongo.deletions_upgrade import upgraded
from gateway.services.customers.customer import DeletedCustomer
from shared.features import CUST_ID

INDEXES = (
    # A copy whose outbox is not empty waits for the relay.
    IndexModel(
        [("expires_at", ASCENDING)],
        name="expiry_when_logged",
        expireAfterSeconds=0,
        partialFilterExpression={"outbox": []},
    ),
)
RETIRED = ("expiry",)
"""Indexes that earlier versions made."""


class MongoDeletedCustomers:
    """`DeletedCustomers` in MongoDB, keyed by CUST_ID as ``_id`` as customers are; they expire by themselves."""

    def __init__(self, collection: Documents) -> None:
        self._copies = StoreCollection(collection, upgraded)

    def keep(self, copies: Sequence[DeletedCustomer]) -> None:
        with self._copies as collection:
            if len(copies) == 1:
                collection.update_one(*_kept(copies[0]), upsert=True, session=session())
            else:
                requests = [UpdateOne(*_kept(copy), upsert=True) for copy in copies]
                collection.bulk_write(requests, ordered=False, session=session())

    def take(self, cust_ids: Sequence[str]) -> list[DeletedCustomer]:
        with self._copies as collection:
            found = take(collection, cust_ids)
        return [cast(DeletedCustomer, customer_of(document)) for document in found]

    def get(self, cust_id: str) -> DeletedCustomer | None:
        with self._copies as collection:
            return _copy(collection.find_one({"_id": cust_id}))

    def page(self, after: str | None, limit: int) -> list[DeletedCustomer]:
        query: Document = {} if after is None else {"_id": {"$gt": after}}
        with self._copies as collection:
            found = collection.find(query, sort=[("_id", ASCENDING)], limit=limit, batch_size=limit + 1)
            return [copy for document in found if (copy := _copy(document))]


def _kept(copy: DeletedCustomer) -> tuple[Document, Document]:
    """Return the filter and the change that keep a copy: in the place of an older one, but for what waits in that."""
    members: Document = {**copy}
    cust_id, outbox = members.pop(CUST_ID), members.pop("outbox", [])
    change = {"$set": members, "$push": {"outbox": {"$each": outbox}}}
    return {"_id": cust_id}, change if "due" in members else change | {"$unset": {"due": ""}}


def _copy(document: Document | None) -> DeletedCustomer | None:
    if document is None:
        return None
    document.pop("outbox", None)
    return cast(DeletedCustomer, customer_of(document))
