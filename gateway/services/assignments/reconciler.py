"""Giving stored customers the segment that the active model says: the pending ones, and all after an activation."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import add
from typing import NamedTuple

from gateway.services.assignments.reports import Reporter
from gateway.services.assignments.rescorings import Cause, Counts, Rescorings
from gateway.services.assignments.standstill import Standstill
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import StoredCustomer, Update, assigned_customer
from gateway.services.customers.query import Condition, Op
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import ModelRefused, QueryTimeout, SegmentationError, StoreError, StoreUnavailable
from gateway.services.events.change import Actor, Due
from gateway.services.models.model import Model
from shared.features import CUST_ID

log = logging.getLogger(__name__)

BATCH = 1_000
WRITERS = 2
"""Batches that are scored and stored at a time, while another is read: more would only wait for the database."""
COUNT_SECONDS = 30.0
"""How old the number of those that are left may be; a million takes half a second to count."""


class _Outcome(NamedTuple):
    """What became of a batch.

    Attributes
    ----------
    assigned : how many customers were assigned.
    contested : how many somebody else had changed since they were read.
    astray : how many were scored by another version, which has been activated meanwhile.
    """

    assigned: int = 0
    contested: int = 0
    astray: int = 0

    def plus(self, other: _Outcome) -> _Outcome:
        """Return the outcome of both."""
        return _Outcome(*map(add, self, other))


class Reconciler:
    """Assigns customers that are pending or were assigned by another model version.

    One of the worker's duties (`gateway.worker.Duty`). Any number of workers share the customers without knowing of
    each other: each begins at another place, and goes elsewhere where it meets another.
    """

    def __init__(
        self,
        store: CustomerStore,
        model: Model,
        assigner: Assigner,
        rescorings: Rescorings,
        reporter: Reporter,
        digest: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._model = model
        self._assigner = assigner
        self._rescorings = rescorings
        self._reporter = reporter
        self._clock = clock
        self._standstill = Standstill(digest, clock)
        self._version: str | None = None
        self._count_at = 0.0

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:
        """Go through all due customers once; return how many were assigned.

        Parameters
        ----------
        heartbeat : called after each batch, so that a long pass does not look like a hang.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
            the pass ends there; the next one carries on.
        """
        try:
            return self._pass(heartbeat)
        except StoreUnavailable:
            raise  # nor could this be reported
        except SegmentationError as error:
            self._reporter.standing_still(str(error))
            raise

    def _pass(self, heartbeat: Callable[[], None]) -> int:
        status = self._model.status()
        if not self._standstill.begin(status):
            self._reporter.again()
            return 0
        cause = self._rescorings.cause(status.version, anew=status.version != self._version)
        self._version, self._count_at = status.version, 0.0
        assigned, last, met = 0, _Outcome(), True
        while met and self._store.due(status.version, None, 1, self._standstill.lacked):
            cause = self._rescorings.cause(status.version, anew=True)
            with self._rescorings.going_on(cause):
                last, met = self._go_round(cause, heartbeat)
            assigned += last.assigned
        self._standstill.end()
        if assigned:
            log.info("assigned %d customers by model %s", assigned, status.version)
        if not (last.contested or last.astray):  # all have been scored that can be
            self._rescorings.end(cause)
            self._say_what_is_left(cause)
        return assigned

    def _say_what_is_left(self, cause: Cause) -> None:
        reason = self._standstill.reason()
        left = self._left(cause.version) if reason else 0
        if reason and left != 0:
            self._reporter.standing_still(reason, left)
        else:
            self._reporter.idle(cause.version, cause.id)

    def _go_round(self, cause: Cause, heartbeat: Callable[[], None]) -> tuple[_Outcome, bool]:
        """Go round all due customers, from anywhere, or until another worker is met; return whether one was.

        Batches are assigned while the next ones are read.
        """
        done, met = _Outcome(), False
        batches = self._batches(cause, self._store.somewhere())
        under_way: deque[tuple[int, Future[_Outcome]]] = deque()
        with ThreadPoolExecutor(WRITERS, "assign") as pool:
            while True:
                due = None if met else next(batches, None)
                if due is not None:
                    under_way.append((len(due), pool.submit(self._assign, self._standstill.admit(due))))
                    if len(under_way) <= WRITERS:
                        continue
                if not under_way:
                    return done, met
                size, future = under_way.popleft()
                outcome = future.result()
                heartbeat()
                self._reporter.scored(outcome.assigned)
                done, met = done.plus(outcome), met or outcome.contested > size // 2

    def _batches(self, cause: Cause, start: str | None) -> Iterator[list[StoredCustomer]]:
        """Yield the due customers that follow `start`, in CUST_ID order, and then those from the first one up to it."""
        after = start
        while due := self._due(cause, after):
            yield due
            after = due[-1][CUST_ID]
        after = None
        while start and (due := self._due(cause, after)):
            due = [c for c in due if c[CUST_ID] <= start]
            if not due:
                return
            yield due
            after = due[-1][CUST_ID]

    def _due(self, cause: Cause, after: str | None) -> list[StoredCustomer]:
        found = self._store.due(cause.version, after, BATCH, self._standstill.lacked)
        if found and self._clock() >= self._count_at:
            done = self._rescorings.done(cause)
            self._reporter.running(cause.version, cause.id, self._left(cause.version), done)
            self._count_at = self._clock() + COUNT_SECONDS
        return found

    def _left(self, version: str) -> int | None:
        """Return how many customers have no segment by this version; None where counting takes too long."""
        try:
            return self._store.count((Condition("model_version", Op.NE, version),), exact=True).total
        except QueryTimeout:
            return None

    def _assign(self, due: Sequence[StoredCustomer]) -> _Outcome:
        """Assign a batch; one customer that cannot be assigned must not hold up the others."""
        if not due:
            return _Outcome()
        try:
            return self._scored(due)
        except StoreUnavailable:
            raise
        except (ModelRefused, StoreError) as error:
            if isinstance(error, ModelRefused) and error.whole:
                raise  # no customer's fault
            if len(due) == 1:
                self._standstill.refuse(due[0], error)
                return _Outcome()
        half = len(due) // 2
        return self._assign(due[:half]).plus(self._assign(due[half:]))

    def _scored(self, due: Sequence[StoredCustomer]) -> _Outcome:
        placements = self._assigner.score(due)
        cause = self._rescorings.cause(placements[0]["model_version"])
        reason = _reason(cause)
        updates = [
            assigned_customer(customer, placement, customer.get("due", reason if customer["segment"] else _UNKNOWN))
            for customer, placement in zip(due, placements, strict=True)
        ]
        missed = self._store.update_many(updates)
        self._rescorings.count(cause, _counts(updates, missed))
        return _Outcome(len(due) - len(missed), len(missed), 0 if cause.version == self._version else len(due))


def _reason(cause: Cause) -> Due:
    """Return what the entries of customers say that are scored anew by this version, and for no reason of their own."""
    return Due(cause=cause.cause, actor=cause.actor, by=None, request_id=None, address=None, was=None)


_UNKNOWN = Due(
    cause=None,
    actor=Actor(kind="system", id="model-store", name="unknown"),
    by=None,
    request_id=None,
    address=None,
    was=None,
)
"""What the entry of a pending customer says that a version before the change log left, which did not write down why."""


def _counts(updates: Sequence[Update], missed: set[str]) -> Counts:
    written = [update for update in updates if update.old[CUST_ID] not in missed] if missed else updates
    assigned = sum([update.old["segment"] is None for update in written])
    moved = sum([update.entry is not None for update in written])
    return Counts(rescored=len(written) - assigned, moved=moved - assigned, assigned=assigned)
