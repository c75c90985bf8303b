"""What an activation brings about: all customers are scored anew, and one entry records the end of that.

Customers whose segment stays have no entry of their own then. How many were scored is counted by those who do it, after
each batch: a worker that is killed takes the count of its last batches along, so that a digest may count too few, and
of none twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Literal, NamedTuple, Protocol
from urllib.parse import urlencode

from gateway.services.clock import now
from gateway.services.events.change import Actor, Entry, Subject
from gateway.services.events.log import Outboxes
from gateway.services.models.registry import ModelRegistry
from gateway.services.transactions import Transactions
from shared.model_contract import Activation

WORKER_TIMEOUT = 30.0
"""After so long a worker that was scoring has died: what it had not counted yet, at most a few batches, is not told."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What re-scoring has done.

    Attributes
    ----------
    rescored : customers that another version had assigned.
    moved : those of them that are in another segment now.
    assigned : customers that were pending.
    """

    rescored: int = 0
    moved: int = 0
    assigned: int = 0

    @property
    def done(self) -> int:
        """All customers that got a segment."""
        return self.rescored + self.assigned

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.rescored + other.rescored, self.moved + other.moved, self.assigned + other.assigned)


class Cause(NamedTuple):
    """What made a version the active one, in the model store's own history.

    Attributes
    ----------
    id : of that activation; a version that is activated again has another one.
    before : the version that was active until then.
    """

    id: str
    version: str
    cause: Literal["model_activated", "rollback"]
    by: str
    before: str | None

    @property
    def actor(self) -> Actor:
        """Who is said to have done what the worker does for it."""
        return Actor(kind="system", id="model-store", name=self.by)


def cause_of(version: str, history: Sequence[Activation]) -> Cause:
    """Return what last made a version the active one, from the history, newest first."""
    event = next((event for event in history if event["version"] == version), None)
    if event is None:  # a store whose history was lost
        return Cause(version, version, "model_activated", "unknown", None)
    identity = event.get("id") or f"{version} {event['at']}"
    cause: Literal["model_activated", "rollback"] = "rollback" if event["kind"] == "rollback" else "model_activated"
    return Cause(identity, version, cause, event["by"], event.get("before"))


class RescoringRecords(Protocol):
    """What was done after each activation, by its id. Every method may raise `StoreError`."""

    def begin(self, activation: str, worker: str) -> None:
        """Note that a worker scores customers, and what it has done is not all counted yet."""

    def add(self, activation: str, worker: str, counts: Counts) -> None:
        """Count what a worker has done."""

    def pause(self, activation: str, worker: str) -> None:
        """Note that all is counted that a worker has done."""

    def others(self, activation: str, worker: str, seconds: float) -> bool:
        """Whether another worker is scoring, and was heard of in the last `seconds`. Takes part in transactions."""

    def done(self, activation: str) -> Counts:
        """Return what all workers have done."""

    def end(self, activation: str) -> Counts | None:
        """Note that nothing is left; return what was done, None where nobody began or the end was noted before.

        Takes part in transactions.
        """


class Rescorings:
    """Knows why customers are scored anew, counts them, and records when nothing is left.

    Parameters
    ----------
    worker : the name of this worker among all.
    """

    def __init__(
        self,
        records: RescoringRecords,
        registry: ModelRegistry,
        outboxes: Outboxes,
        together: Transactions,
        worker: str,
    ) -> None:
        self._records = records
        self._registry = registry
        self._outboxes = outboxes
        self._together = together
        self._worker = worker
        self._causes: dict[str, Cause] = {}
        self._lock = Lock()
        self._ended: str | None = None

    def cause(self, version: str, *, anew: bool = False) -> Cause:
        """Return what made a version the active one; threads may share it.

        Parameters
        ----------
        anew : ask again, as the same version may have been activated again.

        Raises
        ------
        RegistryRefusal, ModelServiceError
        """
        with self._lock:
            if anew or version not in self._causes:
                self._causes[version] = cause_of(version, self._registry.activations()["items"])
            return self._causes[version]

    @contextmanager
    def going_on(self, cause: Cause) -> Iterator[None]:
        """Score customers in a ``with`` block: meanwhile no other worker records the end without what is done here.

        Raises
        ------
        StoreError
        """
        self._records.begin(cause.id, self._worker)
        yield
        self._records.pause(cause.id, self._worker)

    def count(self, cause: Cause, counts: Counts) -> None:
        """Count what was done because of that.

        Raises
        ------
        StoreError
        """
        self._records.add(cause.id, self._worker, counts)

    def done(self, cause: Cause) -> int:
        """Return how many customers all workers have scored because of that, as far as they have counted.

        Raises
        ------
        StoreError
        """
        return self._records.done(cause.id).done

    def end(self, cause: Cause) -> None:
        """Note that nothing is left that could be scored; it is recorded once, whichever worker comes first.

        While another worker may have done what it has not counted yet, nothing is recorded: ask again later.

        Raises
        ------
        StoreError
        """
        if cause.id != self._ended and self._together.run(lambda: self._end(cause)):
            self._ended = cause.id

    def _end(self, cause: Cause) -> bool:
        if self._records.others(cause.id, self._worker, WORKER_TIMEOUT):
            return False
        counts = self._records.end(cause.id)
        if counts is not None:  # else it was recorded before, or nobody needed a score
            self._outboxes.add([_digest(cause, counts)])
        return True


def _digest(cause: Cause, counts: Counts) -> Entry:
    listed = f"/api/v1/customers?{urlencode({'model_version': cause.version})}"
    return Entry(
        at=now(),
        type="assignments.recomputed",
        cause=cause.cause,
        actor=cause.actor,
        by=None,
        request_id=None,
        address=None,
        before=cause.before,
        after=cause.version,
        subject=Subject(type="assignments", id=cause.version),
        data={"model_version": cause.version, **asdict(counts), "list": listed},
    )
