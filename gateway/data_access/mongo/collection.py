"""What the stores here need of the driver: documents, its errors as the services' own, snapshots, transactions."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, TypeVar

from bson.errors import BSONError
from pymongo import MongoClient, ReadPreference, WriteConcern, timeout
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern

from gateway import metrics
from gateway.data_access.mongo.breaker import OUTAGES, breaker_of
from gateway.services.errors import StoreError, StoreUnavailable
from gateway.services.transactions import Result

Document = dict[str, Any]
Documents = Collection[Document]
Answer = TypeVar("Answer")

_LOGIN_FAILED = 18
_NO_REPLICA_SET = 20
_WRITE_CONFLICT = 112
_CONTENDED = "Other requests kept changing the same until the time was up; nothing of this one was written. Try again."
_NO_SNAPSHOT = {239, 246}
# No primary, stepping down, shutting down, exceeded time, index build aborted, no snapshot, disk full: the same call
# may succeed later.
_PASSING = {50, 89, 91, 189, 262, 276, 9001, 10107, 11600, 11602, 13435, 13436, 14031, *_NO_SNAPSHOT}
_PASSING_LABELS = ("RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult")
NO_REPLICA_SET = (
    "MongoDB is not the replica set that is needed: a standalone server has no transactions. One node is enough: start "
    "mongod with --replSet rs0, call rs.initiate() once, and name the set in MONGODB_URI (replicaSet=rs0)."
)


def require_replica_set(client: MongoClient[Document], seconds: float) -> bool:
    """Return whether MongoDB can be reached within some `seconds`; do nothing else where it has transactions.

    Raises
    ------
    StoreError
    """
    try:
        with timeout(seconds):
            hello = client.admin.command("hello")
    except ServerSelectionTimeoutError as error:
        # Whoever answers, but not as a member of the set that the address names, is not among them any more.
        if not client.topology_description.server_descriptions():
            raise StoreError(NO_REPLICA_SET) from error
    except PyMongoError:
        pass  # whoever needs the database hears of it, and it may come later
    else:
        if not is_replicated(hello):
            raise StoreError(NO_REPLICA_SET)
        return True
    return False


def is_replicated(hello: Mapping[str, Any]) -> bool:
    """Return whether the answer to `hello` is that of a replica set's member, maybe a future one, or of a cluster."""
    return "setName" in hello or bool(hello.get("isreplicaset")) or hello.get("msg") == "isdbgrid"


SNAPSHOT: Final = ReadConcern("snapshot")
"""How to read what lists, counts and walks consist of: the whole query sees one moment.

Otherwise a query that goes along an index can miss a document whose entry moves meanwhile, or meet it twice; and one
that sorts drops those that have ceased to match before it hands them out, so that a page is short though others follow.
What has been written with majority is seen. It costs no more than the plain read. Needs MongoDB 5 and a replica set.
"""
_ATTEMPTS, _PAUSE_SECONDS = 5, 0.02


def at_one_moment(read: Callable[[], Answer]) -> Answer:
    """Return what a read with `SNAPSHOT` gives; MongoDB refuses some for a moment after a change of the schema."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return read()
        except OperationFailure as error:
            if error.code not in _NO_SNAPSHOT:
                raise
        time.sleep(_PAUSE_SECONDS)
    return read()


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the driver's errors into the services' own, which say whether trying again later makes sense."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        raise _store_error(error) from error


def _store_error(error: PyMongoError | BSONError) -> StoreError:
    found = _meaning(error)
    refused = "rejected" if isinstance(error, OperationFailure) else "failed"
    metrics.store_failed("unavailable" if isinstance(found, StoreUnavailable) else refused)
    return found


def _meaning(error: PyMongoError | BSONError) -> StoreError:
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WaitQueueTimeoutError):
        return StoreUnavailable("The database cannot be reached at the moment; try again.")
    if not isinstance(error, OperationFailure):
        return StoreError("The database failed.")
    if any(map(error.has_error_label, _PASSING_LABELS)) or _codes(error) & _PASSING:
        return StoreUnavailable("The database cannot process the request at the moment; try again.")
    if error.code == _NO_REPLICA_SET:
        return StoreError(NO_REPLICA_SET)
    return StoreError(f"The database rejected {'the login' if error.code == _LOGIN_FAILED else 'the operation'}.")


def _codes(error: OperationFailure) -> set[int | None]:
    """Return the error's own code and, of a bulk write, those of its parts."""
    details = error.details or {}
    parts = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return {error.code, *(part.get("code") for part in parts)}


def find_by_id(collection: Documents, key: str) -> Document | None:
    """Return the document with this ``_id``, or None, within the transaction that goes on here if there is one."""
    if session() is None:
        found = find_at_once(collection, {"filter": {"_id": key}, "limit": 1, "singleBatch": True})
        if found is not None:
            return next(iter(found), None)
    return collection.find_one({"_id": key}, session=session())


def find_at_once(collection: Documents, find: Document) -> list[Document] | None:
    """Return what the command ``find`` gives, if all of it comes at once; outside of transactions.

    As the driver's ``find`` does, without the cursor that it makes: that takes a quarter of the driver's CPU for one
    document. None where the driver is to find it: what comes in parts, and what it would try again, such as after a
    change of the primary.
    """
    command = {"find": collection.name, **find, "readConcern": collection.read_concern.document}
    try:
        answer = collection.database.command(
            command, read_preference=collection.read_preference, codec_options=collection.codec_options
        )
    except (*OUTAGES, ExecutionTimeout):
        raise
    except (AutoReconnect, OperationFailure):
        return None
    documents: list[Document] = answer["cursor"]["firstBatch"]
    return None if answer["cursor"]["id"] else documents


class StoreCollection:
    """A collection as the stores use it: ``with collection as documents: documents.find_one(…)``.

    The driver's errors leave the block as in `store_errors`, but for those within a transaction, which has to see them
    (`MongoTransactions`); while the database is away, the block is not entered at all. Nothing here looks at validators
    and indexes, let alone makes them: that is the worker's (`data_access.mongo.schema`), and whoever serves must not
    wait for it.

    Parameters
    ----------
    prepare : brings documents of earlier versions into today's form, before the first use in a process.
    hasty : whether operations on it have so little time that running out of it does not mean that the database is away.
    """

    def __init__(
        self, collection: Documents, prepare: Callable[[Documents], None] | None = None, *, hasty: bool = False
    ) -> None:
        self._collection = collection
        self._prepare = prepare
        self._breaker = breaker_of(collection.database.client)
        self._hasty = hasty
        # By the frame that uses it, of which there is one for each `with` block that goes on, whatever its thread.
        self._begun: dict[int, float] = {}

    def __enter__(self) -> Documents:
        self._breaker.check()
        if self._prepare is not None:
            if session() is not None:
                raise _NotPrepared(self)
            try:
                self._prepare(self._collection)
            except (PyMongoError, BSONError) as error:
                self.__exit__(type(error), error, None)
            self._prepare = None
        self._begun[id(sys._getframe(1))] = time.perf_counter()
        return self._collection

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        caller = sys._getframe(1)
        if begun := self._begun.pop(id(caller), None):
            metrics.operation_done(self._collection.name, caller, begun)
        if not isinstance(error, OUTAGES):
            self._breaker.answered()
        elif not self._hasty:
            self._breaker.failed()
        if isinstance(error, PyMongoError | BSONError) and session() is None:
            raise _store_error(error) from error


_session: ContextVar[ClientSession | None] = ContextVar("session", default=None)


def session() -> ClientSession | None:
    """Return the session of the transaction that is going on here, for what takes part in it; None outside of one."""
    return _session.get()


class MongoTransactions:
    """`Transactions` in MongoDB; a store's method takes part by giving the `session` to the driver.

    The driver begins again where others were faster or a primary has stepped down, and asks again what became of a
    commit whose answer was lost (`ClientSession.with_transaction`); all of it within `seconds`.
    """

    def __init__(self, database: Database[Document], seconds: float) -> None:
        self._client = database.client
        self._seconds = seconds

    def run(self, work: Callable[[], Result]) -> Result:
        while True:
            try:
                return self._run(work)
            except _NotPrepared as first_use:
                with first_use.collection:
                    pass

    def _run(self, work: Callable[[], Result]) -> Result:
        met: list[PyMongoError] = []  # others, who were faster

        def attempt(session: ClientSession) -> Result:
            try:
                result = _within(session, work)
            except OperationFailure as error:
                met.extend([error] if error.code == _WRITE_CONFLICT else [])
                raise
            met.clear()  # nobody prevents the commit, whatever else may
            return result

        begun = time.perf_counter()
        try:
            with store_errors(), timeout(self._seconds), self._client.start_session() as own:
                return own.with_transaction(
                    attempt,
                    read_concern=SNAPSHOT,
                    write_concern=WriteConcern("majority", j=True),
                    read_preference=ReadPreference.PRIMARY,
                )
        except StoreUnavailable as error:
            # Whatever was going on when the time was up, that took the time, unless nobody answers any more.
            if met and not isinstance(error.__cause__, ServerSelectionTimeoutError):
                raise StoreUnavailable(_CONTENDED) from error
            raise
        finally:
            metrics.operation_done("transactions", sys._getframe(), begun)


class _NotPrepared(Exception):
    """A collection is used for the first time within a transaction, which cannot make its indexes."""

    def __init__(self, collection: StoreCollection) -> None:
        super().__init__()
        self.collection = collection


def _within(session: ClientSession, work: Callable[[], Result]) -> Result:
    token = _session.set(session)
    try:
        return work()
    finally:
        _session.reset(token)
