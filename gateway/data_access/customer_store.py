"""Customers in MongoDB: the `CustomerStore` port over one collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bson.errors import BSONError
from pymongo import ReplaceOne, UpdateOne, timeout
from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)

from gateway.data_access.mongo_schema import prepare
from gateway.services.assignment import ASSIGNED, PENDING
from gateway.services.errors import CustomerExists, StoreError, StoreUnavailable
from gateway.services.ports import Assignment, Block, Customer, SegmentCounts
from shared.features import CUST_ID

Document = dict[str, Any]

DUPLICATE_KEY = 11000
_LOGIN_FAILED = 18
# No primary, stepping down, shutting down, exceeded time: the same call may succeed later.
_PASSING = {50, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}


@contextmanager
def _faults() -> Iterator[None]:
    """Turn the driver's errors into the service's own, which say whether trying again later makes sense."""
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WaitQueueTimeoutError) as error:
        raise StoreUnavailable("the database cannot be reached at the moment; nothing was lost, try again") from error
    except OperationFailure as error:
        if error.has_error_label("RetryableWriteError") or _codes(error) & _PASSING:
            raise StoreUnavailable("the database cannot take this at the moment; try again") from error
        refused = "our login" if error.code == _LOGIN_FAILED else "the operation"
        raise StoreError(f"the database refused {refused}") from error
    except (PyMongoError, BSONError) as error:
        raise StoreError("the database failed") from error


def _codes(error: OperationFailure) -> set[int | None]:
    """Return the error's own code and, of a bulk write, those of its parts."""
    details = error.details or {}
    parts = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return {error.code, *(part.get("code") for part in parts)}


def _document(customer: Customer) -> Document:
    return {"_id": customer[CUST_ID], **{key: value for key, value in customer.items() if key != CUST_ID}}


def _customer(document: Document) -> Customer:
    return {CUST_ID: document.pop("_id"), **document}


class MongoCustomerStore:
    """Customers in MongoDB, keyed by CUST_ID as ``_id``.

    Single customers have the client's own time limit (``timeoutMS``), `bulk_deadline` seconds hold for
    what imports and the worker do with many at once.
    The collection's validator and indexes are made before the first use, not at construction, so that the gateway
    starts while the database is away.
    """

    def __init__(self, collection: Collection[Document], bulk_deadline: float = 30.0) -> None:
        self._collection = collection
        self._bulk_deadline = bulk_deadline
        self._prepared = False

    @property
    def _customers(self) -> Collection[Document]:
        if not self._prepared:
            prepare(self._collection)
            self._prepared = True
        return self._collection

    def get(self, cust_id: str) -> Customer | None:
        """Return one customer, or None."""
        with _faults():
            document = self._customers.find_one({"_id": cust_id})
        return _customer(document) if document else None

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        """Return those of the customers that exist, by CUST_ID."""
        with _faults(), timeout(self._bulk_deadline):
            found = list(self._customers.find({"_id": {"$in": list(cust_ids)}}, batch_size=len(cust_ids) + 1))
        return {document["_id"]: _customer(document) for document in found}

    def page(self, after: str | None, limit: int) -> list[Customer]:
        """Return up to `limit` customers with CUST_ID greater than `after`, in CUST_ID order."""
        return self._find({} if after is None else {"_id": {"$gt": after}}, limit)

    def due(self, model_version: str, after: str | None, limit: int) -> list[Customer]:
        """Return customers that are pending or assigned by another model version, in CUST_ID order."""
        due: Document = {"$or": [{"segment_status": PENDING}, {"segment.model_version": {"$ne": model_version}}]}
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

    def insert(self, customer: Customer) -> None:
        """Store a new customer; raise `CustomerExists` when the CUST_ID is taken."""
        with _faults():
            try:
                self._customers.insert_one(_document(customer))
            except DuplicateKeyError as error:
                raise CustomerExists(customer[CUST_ID]) from error

    def replace(self, customer: Customer, expected_revision: str) -> bool:
        """Replace the customer if it still has the revision; return whether it did."""
        with _faults():
            result = self._customers.replace_one(_at(customer[CUST_ID], expected_revision), _document(customer))
        return result.matched_count == 1

    def delete(self, cust_id: str, expected_revision: str | None) -> bool:
        """Delete the customer (if it still has the revision, where one is given); return whether it did."""
        with _faults():
            return self._customers.delete_one(_at(cust_id, expected_revision)).deleted_count == 1

    def insert_many(self, customers: Sequence[Customer]) -> set[str]:
        """Store new customers; return the CUST_IDs that were taken and so not stored."""
        with _faults(), timeout(self._bulk_deadline):
            try:
                self._customers.insert_many([_document(c) for c in customers], ordered=False)
            except BulkWriteError as error:
                return _taken(error)
        return set()

    def replace_many(self, customers: Sequence[tuple[Customer, str]]) -> set[str]:
        """Replace (customer, expected revision) pairs; return the CUST_IDs whose revision did not match."""
        requests = [ReplaceOne(_at(c[CUST_ID], revision), _document(c)) for c, revision in customers]
        with _faults(), timeout(self._bulk_deadline):
            if self._customers.bulk_write(requests, ordered=False).matched_count == len(requests):
                return set()
            written = [c["revision"] for c, _ in customers]
            found = self._customers.find(
                {"revision": {"$in": written}, "_id": {"$in": [c[CUST_ID] for c, _ in customers]}}, {"_id": 1}
            )
            return {c[CUST_ID] for c, _ in customers} - {document["_id"] for document in found}

    def assign_many(self, assignments: Sequence[tuple[str, str, Assignment, str]]) -> int:
        """Write (CUST_ID, expected revision, assignment, new revision); return how many still matched."""
        requests = [
            UpdateOne(
                _at(cust_id, expected),
                {"$set": {"segment": assignment, "segment_status": ASSIGNED, "revision": revision}},
            )
            for cust_id, expected, assignment, revision in assignments
        ]
        with _faults(), timeout(self._bulk_deadline):
            return int(self._customers.bulk_write(requests, ordered=False).matched_count)

    def segment_counts(self) -> SegmentCounts:
        """Count the stored customers by segment."""
        with _faults():
            groups = list(self._customers.aggregate([{"$group": {"_id": "$segment.id", "n": {"$sum": 1}}}]))
        counts = {group["_id"]: group["n"] for group in groups}
        return SegmentCounts(pending=counts.pop(None, 0), by_segment=counts)

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database can take writes now."""
        with _faults():
            hello = self._customers.database.client.admin.command("hello")
        if not hello.get("isWritablePrimary"):
            raise StoreUnavailable("the database has no primary")

    def _block(self, query: Document, fields: Document, rows: int) -> list[Document]:
        with _faults(), timeout(self._bulk_deadline):
            return list(self._customers.find(query, fields, sort=[("_id", 1)], limit=rows, batch_size=rows))

    def _find(self, query: Document, limit: int) -> list[Customer]:
        with _faults():
            found = list(self._customers.find(query, sort=[("_id", 1)], limit=limit, batch_size=limit))
        return [_customer(document) for document in found]


def _at(cust_id: str, revision: str | None) -> Document:
    return {"_id": cust_id} if revision is None else {"_id": cust_id, "revision": revision}


def _taken(error: BulkWriteError) -> set[str]:
    failures = error.details["writeErrors"]
    if any(failure["code"] != DUPLICATE_KEY for failure in failures) or error.details.get("writeConcernErrors"):
        raise error
    return {failure["op"]["_id"] for failure in failures}
