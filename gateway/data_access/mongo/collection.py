"""What the stores here need of the driver: documents, its errors as the services' own, collections with indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from bson.errors import BSONError
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError, WaitQueueTimeoutError

from gateway.services.errors import StoreError, StoreUnavailable

Document = dict[str, Any]
Documents = Collection[Document]

_LOGIN_FAILED = 18
_INDEX_OPTIONS_CONFLICT = 85
# No primary, stepping down, shutting down, exceeded time: the same call may succeed later.
_PASSING = {50, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the driver's errors into the services' own, which say whether trying again later makes sense."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        raise _store_error(error) from error


def _store_error(error: PyMongoError | BSONError) -> StoreError:
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WaitQueueTimeoutError):
        return StoreUnavailable("The database cannot be reached at the moment; try again.")
    if not isinstance(error, OperationFailure):
        return StoreError("The database failed.")
    if error.has_error_label("RetryableWriteError") or _codes(error) & _PASSING:
        return StoreUnavailable("The database cannot process the request at the moment; try again.")
    return StoreError(f"The database rejected {'the login' if error.code == _LOGIN_FAILED else 'the operation'}.")


def _codes(error: OperationFailure) -> set[int | None]:
    """Return the error's own code and, of a bulk write, those of its parts."""
    details = error.details or {}
    parts = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return {error.code, *(part.get("code") for part in parts)}


def make_indexes(collection: Documents, indexes: Sequence[IndexModel]) -> None:
    """Make those indexes that are missing; documents that expire do so after the time that is set now."""
    expiring = [index for index in indexes if index.document.get("expireAfterSeconds")]
    if others := [index for index in indexes if index not in expiring]:
        collection.create_indexes(others)
    for index in expiring:
        try:
            collection.create_indexes([index])
        except OperationFailure as error:
            if error.code != _INDEX_OPTIONS_CONFLICT:
                raise
            changed = {name: index.document[name] for name in ("name", "expireAfterSeconds")}
            collection.database.command("collMod", collection.name, index=changed)


class StoreCollection:
    """A collection as the stores use it: ``with collection as documents: documents.find_one(…)``.

    The driver's errors leave the block as in `store_errors`. Indexes are made at the first use in a process, not at
    construction, so that the gateway starts while the database is unavailable.

    Parameters
    ----------
    prepare : makes the indexes, and whatever else the collection needs.
    """

    def __init__(
        self,
        collection: Documents,
        indexes: Sequence[IndexModel] = (),
        prepare: Callable[[Documents, Sequence[IndexModel]], None] = make_indexes,
    ) -> None:
        self._collection = collection
        self._indexes = indexes
        self._prepare = prepare
        self.prepared = False

    def __enter__(self) -> Documents:
        if not self.prepared:
            with store_errors():
                self._prepare(self._collection, self._indexes)
            self.prepared = True
        return self._collection

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, PyMongoError | BSONError):
            raise _store_error(error) from error
