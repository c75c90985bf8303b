"""The schema of the database: the `Schema` port over the validators and indexes that the collections should have.

A gateway never waits for any of it. Without an index it serves more slowly (`customer_queries` does without an index
that it has named), without the validator it is as strict as ever, because it holds customers to the same rules itself.
What expires by an index stays until there is one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from pymongo import IndexModel, timeout
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from gateway.data_access.mongo.collection import Document, Documents, store_errors

log = logging.getLogger(__name__)

_NO_COLLECTION = 26
_INDEX_NOT_FOUND = 27
_NAMESPACE_EXISTS = 48
_INDEX_BUILD_UNDER_WAY = 12587
_LEVEL = "moderate"
"""Customers that were stored under another dictionary are held to the new one only when they are made anew, so that
meanwhile they can be assigned and changed."""
_BUILD_SECONDS = 7 * 24 * 3600.0
"""Longer than any index takes: the server ends a build that its client does not wait for."""
_PROGRESS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CollectionSchema:
    """What a collection should have.

    Attributes
    ----------
    validator : what MongoDB holds every document to; None for nothing.
    put_off : further indexes, without which the collection can be filled much faster at first.
    retired : names of indexes that earlier versions made.
    owned : beginnings of names that nobody else's indexes have: such an index goes if it is not declared any more.
    """

    name: str
    indexes: Sequence[IndexModel]
    validator: Document | None = None
    put_off: Sequence[IndexModel] = ()
    retired: Sequence[str] = ()
    owned: tuple[str, ...] = ()


class MongoSchema:
    """The `Schema` of a database, by its collections."""

    def __init__(self, database: Database[dict[str, Any]], collections: Sequence[CollectionSchema]) -> None:
        self._database = database
        self._collections = collections

    def missing(self) -> list[str]:
        with store_errors():
            return [name for each in self._collections for name in self._missing(each)]

    def bring_up_to_date(self, *, put_off: bool = False) -> int:
        with store_errors():
            return sum(self._update(each, put_off) for each in self._collections)

    def _missing(self, schema: CollectionSchema) -> Iterator[str]:
        if not self._is_validated(schema):
            yield f"{schema.name}: validator"
        existing = self._finished_indexes(schema.name)
        for index in (*schema.indexes, *schema.put_off):
            if not _is_there(index, existing):
                yield f"{schema.name}.{index.document['name']}"

    def _is_validated(self, schema: CollectionSchema) -> bool:
        if schema.validator is None:
            return True
        found = list(self._database.list_collections(filter={"name": schema.name}))
        options = found[0]["options"] if found else {}
        return (options.get("validator"), options.get("validationLevel")) == (schema.validator, _LEVEL)

    def _finished_indexes(self, collection: str) -> dict[str, Document]:
        """Return the indexes that can be used, by name: the driver's own list has those that are being built, too."""
        try:
            found = self._database.command("listIndexes", collection, includeIndexBuildInfo=True)
        except OperationFailure as error:
            if error.code != _NO_COLLECTION:
                raise
            return {}
        finished = [each["spec"] for each in found["cursor"]["firstBatch"] if "indexBuildInfo" not in each]
        return {spec["name"]: spec for spec in finished}

    def _update(self, schema: CollectionSchema, put_off: bool) -> int:
        collection = self._database[schema.name]
        changed = 0 if self._is_validated(schema) else self._validate(schema)
        existing = self._finished_indexes(schema.name)
        drop_indexes(collection, [*schema.retired, *_undeclared(schema, existing)])
        wanted = schema.indexes if put_off else (*schema.indexes, *schema.put_off)
        missing = [index for index in wanted if not _is_there(index, existing)]
        changed += len(missing)
        for index in (index for index in missing if index.document["name"] in existing):
            _change_expiry(collection, index)
        missing = [index for index in missing if index.document["name"] not in existing]
        # Of an empty collection all at once, which takes no time; else one by one, so that lists get theirs bit by bit.
        parts = [[index] for index in missing] if collection.estimated_document_count() else [missing]
        for part in filter(None, parts):
            self._build(collection, part)
        return changed

    def _validate(self, schema: CollectionSchema) -> int:
        """Give the collection its validator, if that is possible just now; return how many it got."""
        try:
            # The server alone decides whether it exists: with a look beforehand, two that start together collide.
            self._database.create_collection(
                schema.name, check_exists=False, validator=schema.validator, validationLevel=_LEVEL
            )
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
            try:
                self._database.command("collMod", schema.name, validator=schema.validator, validationLevel=_LEVEL)
            except OperationFailure as refused:
                if refused.code != _INDEX_BUILD_UNDER_WAY:
                    raise
                return 0  # another worker is building an index: at the next look
        return 1

    def _build(self, collection: Documents, indexes: Sequence[IndexModel]) -> None:
        names = ", ".join(index.document["name"] for index in indexes)
        with timeout(_BUILD_SECONDS), self._progress(collection.name, names):
            collection.create_indexes([*indexes])

    @contextmanager
    def _progress(self, collection: str, names: str) -> Iterator[None]:
        """Log now and then how far the building of indexes is."""
        began, done = time.monotonic(), Event()

        def report() -> None:
            while not done.wait(_PROGRESS_SECONDS):
                said = self._current(collection)
                log.info("building %s.%s for %.0f s: %s", collection, names, time.monotonic() - began, said)

        reporter = Thread(target=report, daemon=True, name="index-progress")
        reporter.start()
        try:
            yield
        finally:
            done.set()
            reporter.join()
        log.info("built %s.%s in %.1f s", collection, names, time.monotonic() - began)

    def _current(self, collection: str) -> str:
        """Return what the server says of a build: a phase with a percentage."""
        building = {"command.createIndexes": collection, "msg": {"$exists": True}}
        try:
            found = list(
                self._database.client.admin.aggregate([{"$currentOp": {"allUsers": True}}, {"$match": building}])
            )
        except PyMongoError as error:  # a user may see other operations only with the privilege inprog
            return f"the server does not say how far it is ({error})"
        return "; ".join(operation["msg"] for operation in found) or "about to begin or to end"


def drop_indexes(collection: Documents, names: Sequence[str]) -> None:
    """Drop those of the indexes that are there, also those that are being built."""
    existing = collection.index_information()
    for name in names:
        if name in existing:
            try:
                collection.drop_index(name)
            except OperationFailure as error:
                if error.code != _INDEX_NOT_FOUND:  # another process was faster
                    raise


def _undeclared(schema: CollectionSchema, existing: Mapping[str, Document]) -> list[str]:
    declared = {index.document["name"] for index in (*schema.indexes, *schema.put_off)}
    return [name for name in existing if name.startswith(schema.owned) and name not in declared]


def _is_there(index: IndexModel, existing: Mapping[str, Document]) -> bool:
    found = existing.get(index.document["name"])
    return found is not None and found.get("expireAfterSeconds") == index.document.get("expireAfterSeconds")


def _change_expiry(collection: Documents, index: IndexModel) -> None:
    changed = {name: index.document[name] for name in ("name", "expireAfterSeconds")}
    collection.database.command("collMod", collection.name, index=changed)
