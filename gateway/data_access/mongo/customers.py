"""Customers in MongoDB: the `CustomerStore` port over one collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from pymongo import UpdateOne, timeout
from pymongo.errors import BulkWriteError, DuplicateKeyError, ExecutionTimeout

from gateway import metrics
from gateway.data_access.mongo.backups.marker import refuse_half_restored
from gateway.data_access.mongo.collection import (
    NO_REPLICA_SET,
    SNAPSHOT,
    Document,
    Documents,
    StoreCollection,
    at_one_moment,
    find_by_id,
    is_replicated,
    session,
)
from gateway.data_access.mongo.customer_queries import PATHS, LimitedQueries, both, mongo_filter
from gateway.data_access.mongo.customer_schema import SORT_INDEXES
from gateway.data_access.mongo.events.outboxes import waiting_in
from gateway.data_access.mongo.schema import drop_indexes
from gateway.services.customers.customer import PENDING, CustomerPart, StoredCustomer, Update
from gateway.services.customers.query import CustomerQuery, Filters, Total
from gateway.services.customers.store import Block, Row, SegmentCounts
from gateway.services.errors import CustomerExists, StoreUnavailable
from shared.features import CUST_ID, lacking

DUPLICATE_KEY = 11000
_GLANCE_MS = 50
_EVERYTHING: Document = {}


def _document(customer: StoredCustomer) -> Document:
    document: Document = {**customer}  # a copy as a whole takes a third of the time of one with another member first
    document["_id"] = document.pop(CUST_ID)  # which the driver writes first
    return document


def customer_of(document: Document) -> StoredCustomer:
    """Return the customer of a document, with what waits in its outbox."""
    waiting: Document = {"outbox": waiting_in(document)} if "outbox" in document else {}
    return cast(StoredCustomer, {**_customer(document), **waiting})


def take(collection: Documents, ids: Sequence[str], query: Document = _EVERYTHING) -> list[Document]:
    """Remove the documents with these ids that match the query, and return them; several, only in a transaction."""
    if len(ids) == 1:  # so quick that it seldom meets anybody else
        document = collection.find_one_and_delete(both({"_id": ids[0]}, query), session=session())
        return [document] if document else []
    wanted = both({"_id": {"$in": list(ids)}}, query)
    found = list(collection.find(wanted, batch_size=len(ids) + 1, session=session()))
    if found:
        collection.delete_many({"_id": {"$in": [document["_id"] for document in found]}}, session=session())
    return found


def _customer(document: Document) -> StoredCustomer:
    document.pop("outbox", None)
    document.pop("logged", None)
    document.setdefault("seq", 0)
    return cast(StoredCustomer, _part(document))


def _shown(document: Document) -> CustomerPart:
    """Return what was asked for of the customer, without what nobody is shown."""
    for name in ("due", "outbox", "logged"):
        document.pop(name, None)
    return _part(document)


def _part(document: Document) -> Document:
    """Return some members of a customer, with what versions before the change log did not write down of them."""
    if document.get("segment") is not None:
        _date(document["segment"])
    return {CUST_ID: document.pop("_id"), **document}


def _date(segment: Document) -> None:
    if "since" not in segment:
        segment |= {"since": segment["assigned_at"], "cause": None}


def _change(update: Update) -> tuple[Document, Document]:
    """Return the filter and the change of an update: never the whole document, whose outbox the relay moves on."""
    change: Document = {"$set": update.members}
    if update.entry is not None:
        change["$push"] = {"outbox": update.entry}
    if update.dropped:
        change["$unset"] = dict.fromkeys(update.dropped, "")
    return {"_id": update.old["CUST_ID"], "revision": update.old["revision"]}, change


class MongoCustomerStore:
    """The `CustomerStore` in MongoDB, keyed by CUST_ID as ``_id``.

    Single customers have the client's own time limit (``timeoutMS``), `bulk_deadline` seconds hold for
    what imports and the worker do with many at once. What a client's filters and sort can make slow is stopped by
    the server after `query_timeout` seconds.
    """

    def __init__(self, collection: Documents, bulk_deadline: float = 30.0, query_timeout: float = 3.0) -> None:
        self._customers = StoreCollection(collection)
        self._snapshot = collection.with_options(read_concern=SNAPSHOT)
        self._bulk_deadline = bulk_deadline
        self._queries = LimitedQueries(query_timeout)

    def get(self, cust_id: str) -> StoredCustomer | None:
        with self._customers as collection:
            document = find_by_id(collection, cust_id)
        return _customer(document) if document else None

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, StoredCustomer]:
        with timeout(self._bulk_deadline), self._customers as collection:
            found = list(collection.find({"_id": {"$in": list(cust_ids)}}, batch_size=len(cust_ids) + 1))
        return {document["_id"]: _customer(document) for document in found}

    def find(self, query: CustomerQuery) -> list[CustomerPart]:
        with self._customers:
            return [_shown(document) for document in self._queries.find(self._snapshot, query)]

    def count(self, filters: Filters, exact: bool) -> Total:
        with self._customers:
            return self._queries.count(self._snapshot, filters, exact)

    def due(
        self, model_version: str, after: str | None, limit: int, having: Sequence[str] = ()
    ) -> list[StoredCustomer]:
        due: Document = {"segment.model_version": {"$ne": model_version}}  # which those without a segment have not
        due |= {name: {"$ne": None} for name in having}
        found = self._block(due if after is None else {"_id": {"$gt": after}, **due}, None, limit)
        return [_customer(document) for document in found]

    def somewhere(self) -> str | None:
        with self._customers as collection:
            found = list(collection.aggregate([{"$sample": {"size": 1}}, {"$project": {"_id": 1}}]))
        return found[0]["_id"] if found else None

    def lacked_by_due(self, model_version: str, features: Sequence[str]) -> list[str]:
        wanted = {"segment.model_version": {"$ne": model_version}, "$or": [{name: None} for name in features]}
        with self._customers as collection:
            try:
                found = collection.find_one(wanted, dict.fromkeys(features, 1), max_time_ms=_GLANCE_MS)
            except ExecutionTimeout:
                return []
        return lacking(found, features) if found else []

    def stream(self, features: Sequence[str], rows: int) -> Iterator[Block]:
        after: Document = {}
        while found := self._block(after, dict.fromkeys(features, 1), rows):
            ids = [document["_id"] for document in found]
            yield Block(ids, {name: [document.get(name) for document in found] for name in features})
            after = {"_id": {"$gt": ids[-1]}}

    def rows(self, filters: Filters, paths: Sequence[str], size: int) -> Iterator[list[Row]]:
        # The server makes arrays of the documents: decoding them takes half the time.
        places = {CUST_ID: "$_id", "seq": {"$ifNull": ["$seq", 0]}}
        values = {"_id": 0, "row": [places.get(path, f"${path}") for path in paths]}
        segment = paths.index("segment") if "segment" in paths else None
        wanted = query = mongo_filter(filters)
        while found := self._block(wanted, values, size):
            rows = [document["row"] for document in found]
            for row in rows if segment is not None else ():
                if row[segment] is not None:
                    _date(row[segment])
            yield rows
            wanted = {"$and": [query, {"_id": {"$gt": rows[-1][0]}}]}

    def insert(self, customer: StoredCustomer) -> None:
        with self._customers as collection:
            try:
                # One that was deleted before there was a feature comes back without it.
                older = True if lacking(customer) else None
                collection.insert_one(_document(customer), bypass_document_validation=older, session=session())
            except DuplicateKeyError as error:
                raise CustomerExists(customer[CUST_ID]) from error
        metrics.stored_pending(customer["segment"] is None)

    def update(self, update: Update) -> bool:
        with self._customers as collection:
            found = collection.update_one(*_change(update)).matched_count == 1
        metrics.stored_pending(found and update.members.get("segment_status") == PENDING)
        return found

    def delete(self, cust_id: str) -> StoredCustomer | None:
        with self._customers as collection:
            document = collection.find_one_and_delete({"_id": cust_id}, session=session())
        return customer_of(document) if document else None

    def delete_many(self, cust_ids: Sequence[str], filters: Filters) -> list[StoredCustomer]:
        with self._customers as collection:
            found = take(collection, cust_ids, mongo_filter(filters))
        return [customer_of(document) for document in found]

    def insert_many(self, customers: Sequence[StoredCustomer]) -> set[str]:
        with timeout(self._bulk_deadline), self._customers as collection:
            documents = [_document(customer) for customer in customers]
            try:
                # The collection's validator takes mongod 13 µs for each, two fifths of all, and whoever comes here has
                # just held the customers to the same rules.
                collection.insert_many(documents, ordered=False, bypass_document_validation=True)
                taken: set[str] = set()
            except BulkWriteError as error:
                taken = _taken(error)
        metrics.stored_pending(sum(each["segment"] is None and each[CUST_ID] not in taken for each in customers))
        return taken

    def update_many(self, updates: Sequence[Update]) -> set[str]:
        missed = self._update_many(updates)
        pending = [update for update in updates if update.members.get("segment_status") == PENDING]
        metrics.stored_pending(sum(update.old[CUST_ID] not in missed for update in pending))
        return missed

    def _update_many(self, updates: Sequence[Update]) -> set[str]:
        requests = [UpdateOne(*_change(update)) for update in updates]
        with timeout(self._bulk_deadline), self._customers as collection:
            if collection.bulk_write(requests, ordered=False).matched_count == len(requests):
                return set()
            written = {update.old["CUST_ID"]: update.members["revision"] for update in updates}
            query = {"revision": {"$in": list(written.values())}, "_id": {"$in": list(written)}}
            return set(written) - {document["_id"] for document in collection.find(query, {"_id": 1})}

    def segment_counts(self) -> SegmentCounts:
        self.ping()  # or a database that is away would be waited for as long as counting may take
        with timeout(self._bulk_deadline), self._customers:
            return at_one_moment(self._segment_counts)

    def _segment_counts(self) -> SegmentCounts:
        # Counting the entries of an index that have one value takes a sixth of the time of grouping the customers
        # (0.6 µs for each). All versions but one are counted, and nearly always there is but one.
        segments, versions = PATHS["segment"], PATHS["model_version"]
        with self._snapshot.database.client.start_session(snapshot=True) as session:

            def count(path: str, value: object) -> int:
                return self._snapshot.count_documents({path: value}, session=session)

            def values(path: str) -> list[str]:
                # Null is among them only where an index has the path.
                return [each for each in self._snapshot.distinct(path, session=session) if each is not None]

            pending = count(segments, None)
            by_segment = {segment: count(segments, segment) for segment in values(segments)}
            found = values(versions)
            by_version = {version: count(versions, version) for version in found[1:]}
        if found:
            by_version[found[0]] = sum(by_segment.values()) - sum(by_version.values())
        return SegmentCounts(by_segment=by_segment, by_version=by_version, pending=pending)

    def drop_sort_indexes(self) -> None:
        with timeout(self._bulk_deadline), self._customers as collection:
            drop_indexes(collection, [index.document["name"] for index in SORT_INDEXES])

    def ping(self) -> None:
        with self._customers as collection:
            hello = collection.database.client.admin.command("hello")
        if not hello.get("isWritablePrimary"):
            raise StoreUnavailable("The database has no primary.")
        if not is_replicated(hello):
            raise StoreUnavailable(NO_REPLICA_SET)
        refuse_half_restored(collection.database)

    def _block(self, query: Document, fields: Document | None, rows: int) -> list[Document]:
        # A query for each block rather than one cursor for all: it may be retried after a fail-over, and nothing stays
        # open on the server when the caller takes its time or leaves.
        options: dict[str, Any] = {"sort": [("_id", 1)], "limit": rows, "batch_size": rows}
        with timeout(self._bulk_deadline), self._customers:
            return at_one_moment(lambda: list(self._snapshot.find(query, fields, **options)))


def _taken(error: BulkWriteError) -> set[str]:
    failures = error.details["writeErrors"]
    if any(failure["code"] != DUPLICATE_KEY for failure in failures) or error.details.get("writeConcernErrors"):
        raise error
    return {failure["op"]["_id"] for failure in failures}
