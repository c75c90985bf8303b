"""Customers in MongoDB: the `CustomerStore` port over one collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, cast

from pymongo import ReplaceOne, UpdateOne, timeout
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from gateway.data_access.mongo.customer_queries import LimitedQueries, mongo_filter
from gateway.data_access.mongo.customer_schema import build_sort_indexes, drop_sort_indexes, prepare
from gateway.data_access.mongo.faults import store_faults
from gateway.services.customers.customer import Customer, CustomerPart
from gateway.services.customers.query import CustomerQuery, Filters, Total
from gateway.services.customers.store import Block, Row, SegmentCounts
from gateway.services.errors import CustomerExists, StoreUnavailable
from shared.features import CUST_ID

Document = dict[str, Any]

DUPLICATE_KEY = 11000
_ASSIGNED: tuple[Literal["segment", "segment_status", "revision"], ...] = ("segment", "segment_status", "revision")
"""What an assignment changes."""


def _document(customer: Customer) -> Document:
    document = {"_id": customer[CUST_ID], **customer}
    del document[CUST_ID]
    return document


def _customer(document: Document) -> Customer:
    return cast(Customer, {CUST_ID: document.pop("_id"), **document})


class MongoCustomerStore:
    """Customers in MongoDB, keyed by CUST_ID as ``_id``.

    Single customers have the client's own time limit (``timeoutMS``), `bulk_deadline` seconds hold for
    what imports and the worker do with many at once. What a client's filters and sort can make slow is stopped by
    the server after `query_timeout` seconds.
    The collection's validator and indexes are made before the first use, not at construction, so that the gateway
    starts while the database is away.
    """

    def __init__(
        self, collection: Collection[Document], bulk_deadline: float = 30.0, query_timeout: float = 3.0
    ) -> None:
        self._collection = collection
        self._bulk_deadline = bulk_deadline
        self._queries = LimitedQueries(query_timeout)
        self._prepared = False

    @property
    def _customers(self) -> Collection[Document]:
        if not self._prepared:
            prepare(self._collection)
            self._prepared = True
        return self._collection

    def get(self, cust_id: str) -> Customer | None:
        """Return one customer, or None."""
        with store_faults():
            document = self._customers.find_one({"_id": cust_id})
        return _customer(document) if document else None

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        """Return those of the customers that exist, by CUST_ID."""
        with store_faults(), timeout(self._bulk_deadline):
            found = list(self._customers.find({"_id": {"$in": list(cust_ids)}}, batch_size=len(cust_ids) + 1))
        return {document["_id"]: _customer(document) for document in found}

    def find(self, query: CustomerQuery) -> list[CustomerPart]:
        """Return the customers that `query` asks for, with at least its fields."""
        return [_customer(document) for document in self._queries.find(self._prepared_customers(), query)]

    def count(self, filters: Filters, exact: bool) -> Total:
        """Count the customers that all filters hold for; an estimate stops at `ESTIMATE_LIMIT` of them."""
        return self._queries.count(self._prepared_customers(), filters, exact)

    def due(self, model_version: str, after: str | None, limit: int) -> list[Customer]:
        """Return customers that are pending or assigned by another model version, in CUST_ID order."""
        due: Document = {"segment.model_version": {"$ne": model_version}}  # which those without a segment have not
        return self._find(due if after is None else {"_id": {"$gt": after}, **due}, limit)

    def stream(self, features: Sequence[str], rows: int) -> Iterator[Block]:
        """Yield all customers' `features` in CUST_ID order, in blocks of at most `rows`; null where one has no value.

        A query for each block rather than one cursor for all: it may be retried after a fail-over, and nothing stays
        open on the server when the caller takes its time or leaves.
        """
        fields = dict.fromkeys(features, 1)
        after: Document = {}
        while found := self._block(after, fields, rows):
            ids = [document["_id"] for document in found]
            yield Block(ids, {name: [document.get(name) for document in found] for name in features})
            after = {"_id": {"$gt": ids[-1]}}

    def rows(self, filters: Filters, paths: Sequence[str], size: int) -> Iterator[list[Row]]:
        """Yield the values at `paths` of the customers that all filters hold for, in blocks of at most `size` rows."""
        return read_rows(self._customers, mongo_filter(filters), paths, size, self._bulk_deadline)

    def insert(self, customer: Customer) -> None:
        """Store a new customer; raise `CustomerExists` when the CUST_ID is taken."""
        with store_faults():
            try:
                self._customers.insert_one(_document(customer))
            except DuplicateKeyError as error:
                raise CustomerExists(customer[CUST_ID]) from error

    def replace(self, customer: Customer, expected_revision: str) -> bool:
        """Replace the customer if it still has the revision; return whether it did."""
        with store_faults():
            result = self._customers.replace_one(_at(customer[CUST_ID], expected_revision), _document(customer))
        return result.matched_count == 1

    def delete(self, cust_id: str, expected_revision: str | None) -> bool:
        """Delete the customer (if it still has the revision, where one is given); return whether it did."""
        with store_faults():
            return self._customers.delete_one(_at(cust_id, expected_revision)).deleted_count == 1

    def insert_many(self, customers: Sequence[Customer]) -> set[str]:
        """Store new customers; return the CUST_IDs that were taken and so not stored.

        The collection's own validator is not asked: it takes mongod 13 µs for each, two fifths of all, and whoever
        comes here has just held the customers to the same rules.
        """
        with store_faults(), timeout(self._bulk_deadline):
            documents = [_document(customer) for customer in customers]
            try:
                self._customers.insert_many(documents, ordered=False, bypass_document_validation=True)
            except BulkWriteError as error:
                return _taken(error)
        return set()

    def replace_many(self, customers: Sequence[tuple[Customer, str]]) -> set[str]:
        """Replace (customer, expected revision) pairs; return the CUST_IDs whose revision did not match."""
        requests = [ReplaceOne(_at(c[CUST_ID], revision), _document(c)) for c, revision in customers]
        with store_faults(), timeout(self._bulk_deadline):
            if self._customers.bulk_write(requests, ordered=False).matched_count == len(requests):
                return set()
            written = [c["revision"] for c, _ in customers]
            found = self._customers.find(
                {"revision": {"$in": written}, "_id": {"$in": [c[CUST_ID] for c, _ in customers]}}, {"_id": 1}
            )
            return {c[CUST_ID] for c, _ in customers} - {document["_id"] for document in found}

    def assign_many(self, customers: Sequence[tuple[Customer, str]]) -> int:
        """Write the segments and revisions alone of (customer, expected revision) pairs; return how many matched."""
        requests = [
            UpdateOne(_at(c[CUST_ID], expected), {"$set": {name: c[name] for name in _ASSIGNED}})
            for c, expected in customers
        ]
        with store_faults(), timeout(self._bulk_deadline):
            return int(self._customers.bulk_write(requests, ordered=False).matched_count)

    def segment_counts(self) -> SegmentCounts:
        """Count the stored customers by segment."""
        with store_faults():
            groups = list(self._customers.aggregate([{"$group": {"_id": "$segment.id", "n": {"$sum": 1}}}]))
        counts = {group["_id"]: group["n"] for group in groups}
        return SegmentCounts(pending=counts.pop(None, 0), by_segment=counts)

    def drop_sort_indexes(self) -> None:
        """Drop what only filtered and sorted lists need, before a first load."""
        with store_faults(), timeout(self._bulk_deadline):
            drop_sort_indexes(self._customers)

    def build_sort_indexes(self, alive: Callable[[], None] = lambda: None) -> int:
        """Build the sort indexes that are missing, calling `alive` after each; return how many were."""
        with store_faults():
            return build_sort_indexes(self._customers, alive)

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database can take writes now."""
        with store_faults():
            hello = self._customers.database.client.admin.command("hello")
        if not hello.get("isWritablePrimary"):
            raise StoreUnavailable("the database has no primary")

    def _prepared_customers(self) -> Collection[Document]:
        with store_faults():
            return self._customers

    def _block(self, query: Document, fields: Document, rows: int) -> list[Document]:
        with store_faults(), timeout(self._bulk_deadline):
            return list(self._customers.find(query, fields, sort=[("_id", 1)], limit=rows, batch_size=rows))

    def _find(self, query: Document, limit: int) -> list[Customer]:
        with store_faults():
            found = list(self._customers.find(query, sort=[("_id", 1)], limit=limit, batch_size=limit))
        return [_customer(document) for document in found]


def _at(cust_id: str, revision: str | None) -> Document:
    return {"_id": cust_id} if revision is None else {"_id": cust_id, "revision": revision}


def _taken(error: BulkWriteError) -> set[str]:
    failures = error.details["writeErrors"]
    if any(failure["code"] != DUPLICATE_KEY for failure in failures) or error.details.get("writeConcernErrors"):
        raise error
    return {failure["op"]["_id"] for failure in failures}


Query = dict[str, Any]


def read_rows(
    customers: Collection[dict[str, Any]], query: Query, paths: Sequence[str], size: int, deadline: float
) -> Iterator[list[Row]]:
    """Yield the values at `paths`, CUST_ID first, of the customers that match, by CUST_ID; `size` customers at a time.

    A query for each block rather than one cursor for all: it may be retried after a fail-over, and nothing stays open
    on the server when the caller takes its time or leaves. The server makes arrays of the documents: decoding them
    takes half the time, and it works on the next block while the caller has one.

    Parameters
    ----------
    deadline : seconds that a block may take, with all retries.
    """
    values = {"_id": 0, "row": ["$_id" if path == CUST_ID else f"${path}" for path in paths]}
    wanted = query
    while found := _block(customers, wanted, values, size, deadline):
        yield found
        wanted = {"$and": [query, {"_id": {"$gt": found[-1][0]}}]}


def _block(customers: Collection[dict[str, Any]], query: Query, values: Query, size: int, deadline: float) -> list[Row]:
    with store_faults(), timeout(deadline):
        found = customers.find(query, values, sort=[("_id", 1)], limit=size, batch_size=size)
        return [document["row"] for document in found]
