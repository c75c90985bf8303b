"""Copies of deleted customers in MongoDB: the `DeletedCustomers` port over one collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pymongo import ASCENDING, IndexModel, ReplaceOne

from gateway.data_access.mongo.collection import Document, Documents, StoreCollection, session
from gateway.data_access.mongo.customers import customer_of
from gateway.data_access.mongo.deletions_upgrade import upgraded
from gateway.services.customers.customer import DeletedCustomer
from shared.features import CUST_ID

INDEXES = (IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),)


class MongoDeletedCustomers:
    """`DeletedCustomers` in MongoDB, keyed by CUST_ID as ``_id`` as customers are; they expire by themselves."""

    def __init__(self, collection: Documents) -> None:
        self._copies = StoreCollection(collection, upgraded)

    def keep(self, copies: Sequence[DeletedCustomer]) -> None:
        requests = [ReplaceOne({"_id": copy[CUST_ID]}, _document(copy), upsert=True) for copy in copies]
        with self._copies as collection:
            collection.bulk_write(requests, ordered=False, session=session())

    def take(self, cust_id: str) -> DeletedCustomer | None:
        with self._copies as collection:
            return _copy(collection.find_one_and_delete({"_id": cust_id}, session=session()))

    def forget(self, cust_ids: Sequence[str]) -> int:
        with self._copies as collection:
            return collection.delete_many({"_id": {"$in": list(cust_ids)}}, session=session()).deleted_count

    def get(self, cust_id: str) -> DeletedCustomer | None:
        with self._copies as collection:
            return _copy(collection.find_one({"_id": cust_id}))

    def page(self, after: str | None, limit: int) -> list[DeletedCustomer]:
        query: Document = {} if after is None else {"_id": {"$gt": after}}
        with self._copies as collection:
            found = collection.find(query, sort=[("_id", ASCENDING)], limit=limit, batch_size=limit + 1)
            return [copy for document in found if (copy := _copy(document))]


def _document(copy: DeletedCustomer) -> Document:
    document = {"_id": copy[CUST_ID], **copy}
    del document[CUST_ID]
    return document


def _copy(document: Document | None) -> DeletedCustomer | None:
    return cast(DeletedCustomer, customer_of(document)) if document else None
