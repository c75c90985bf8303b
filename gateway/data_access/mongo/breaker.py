"""The circuit breaker for the database: while it cannot be reached, nobody waits for it.

Without one, every request of an outage would hold a thread for MONGODB_TIMEOUT. As in `customers.assignment.Assigner`,
which does it for the model service, the library pybreaker does not fit: it has no probe beside the requests.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import InvalidOperation, NetworkTimeout, PyMongoError, ServerSelectionTimeoutError

from gateway import metrics
from gateway.services.errors import StoreUnavailable

log = logging.getLogger(__name__)

OUTAGES: Final = (ServerSelectionTimeoutError, NetworkTimeout)
"""No server that takes writes was found, or it did not answer at all. What the server itself ended is no outage."""

QUIET_SECONDS: Final = 1.0
"""An operation that times out while others succeed says something about itself, not about the database."""

PROBE_SECONDS: Final = 0.5
"""Between two looks at a database that is away."""

_Client = MongoClient[dict[str, Any]]


class CircuitBreaker:
    """Opens when an operation finds the database away, and closes when the database answers again.

    It is looked at by a thread of its own, so that no request has to wait to find out.
    """

    def __init__(self, client: _Client) -> None:
        self._client = weakref.ref(client)
        self._answered_at = 0.0
        self._lock = threading.Lock()
        self._open = False

    def check(self) -> None:
        """Raise `StoreUnavailable` while the database is known to be away."""
        if self._open:
            metrics.store_failed("breaker_open")
            raise StoreUnavailable("The database cannot be reached at the moment; try again.")

    def answered(self) -> None:
        """Note that the database has answered."""
        self._answered_at = time.monotonic()

    def failed(self) -> None:
        """Note that an operation found the database away, within all the time that it may take."""
        with self._lock:
            if self._open or time.monotonic() - self._answered_at < QUIET_SECONDS:
                return
            self._open = True
        metrics.breaker_is(open_=True)
        log.warning("the database cannot be reached: requests that need it are refused until it answers")
        threading.Thread(target=self._look, name="database-probe", daemon=True).start()

    def _look(self) -> None:
        while (client := self._client()) and not _answers(client):
            del client
            time.sleep(PROBE_SECONDS)
        self._open = False
        metrics.breaker_is(open_=False)
        log.warning("the database answers again")


def _answers(client: _Client) -> bool:
    try:
        client.admin.command("ping")
    except InvalidOperation:  # the client has been closed: whoever uses it shall hear that
        return True
    except PyMongoError:
        return False
    return True


_breakers: dict[int, CircuitBreaker] = {}


def breaker_of(client: _Client) -> CircuitBreaker:
    """Return the breaker of a client, which all collections share that are used over it."""
    if id(client) not in _breakers:  # clients with the same addresses are equal, so that they are no keys themselves
        _breakers[id(client)] = CircuitBreaker(client)
        weakref.finalize(client, _breakers.pop, id(client))
    return _breakers[id(client)]
