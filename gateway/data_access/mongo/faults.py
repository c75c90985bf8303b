"""The driver's errors as the services' own: apart, because every store here maps them alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError, WaitQueueTimeoutError

from gateway.services.errors import StoreError, StoreUnavailable

_LOGIN_FAILED = 18
# No primary, stepping down, shutting down, exceeded time: the same call may succeed later.
_PASSING = {50, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}


@contextmanager
def store_faults() -> Iterator[None]:
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
