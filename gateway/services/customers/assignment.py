"""Giving stored customers their segment: within a short deadline on a write, in batches for imports and the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from gateway.services.clock import now
from gateway.services.customers.customer import Features, Placement, StoredCustomer, assigned_customer, reason_of
from gateway.services.customers.standstill import Standstill
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import ModelRefused, ModelServiceError, StoreError, StoreUnavailable
from gateway.services.events.change import Origin
from gateway.services.models.model import Model
from gateway.services.principal import COMMAND_LINE
from shared.contract import ColumnarAnswer, Prediction
from shared.features import CUST_ID, INPUT_NAMES

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Assigner:
    """Gets segments from the model; while that is unavailable, few writes wait for it, and none beyond the deadline.

    It is a circuit breaker: after a failure nobody calls the model for `pause` seconds, then one caller does while the
    others still go without. (pybreaker was considered, but it lets no single caller probe while others pass by.)

    Parameters
    ----------
    deadline : seconds a write may wait for the model.
    pause : seconds between attempts while the model is unavailable.
    """

    def __init__(
        self, model: Model, deadline: float, pause: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._model = model
        self._deadline = deadline
        self._pause = pause
        self._clock = clock
        self._try_again_at = 0.0
        self._failing = False

    def assign(self, features: Features) -> Placement | None:
        """Return the customer's segment, or None where the model gives none in time: the worker assigns it later."""
        prediction = self._call(lambda: self._model.predict(features, self._deadline))
        return assignment_of(prediction) if prediction else None

    def assign_columns(self, rows: Sequence[Features], deadline: float | None = None) -> list[Placement] | None:
        """Return the segments of many customers, in order, or None while the model is unavailable.

        Parameters
        ----------
        deadline : seconds to wait; None for as long as bulk work may.
        """
        return self._call(lambda: self.score(rows, deadline))

    def score(self, rows: Sequence[Features], deadline: float | None = None) -> list[Placement]:
        """Return the segments of many customers, in order.

        Raises
        ------
        ModelServiceError
            when the model service gives no usable answer.
        """
        columns = {name: [row.get(name) for row in rows] for name in INPUT_NAMES}
        answer = self._model.score(columns, deadline)
        return _assignments(answer)

    def _call(self, model: Callable[[], Answer]) -> Answer | None:
        """Return what the model answers, or None while it is unavailable."""
        if not self._may_call():
            return None
        try:
            answer = model()
        except ModelRefused:
            return None  # it works, and whoever else asks may be answered; the worker says what is wrong
        except ModelServiceError as error:
            self._note_failure(error)
            return None
        self._failing = False
        return answer

    def _may_call(self) -> bool:
        if not self._failing:
            return True
        if self._clock() < self._try_again_at:
            return False
        self._try_again_at = self._clock() + self._pause  # this caller probes, the others keep skipping
        return True

    def _note_failure(self, error: ModelServiceError) -> None:
        if not self._failing:
            log.warning("%s Customers are stored as pending until it answers again.", error)
        self._try_again_at = self._clock() + self._pause
        self._failing = True


def assignment_of(prediction: Prediction) -> Placement:
    """Return what is stored of a prediction."""
    rival = prediction["rival"]
    return Placement(
        id=prediction["segment"]["id"],
        confidence=prediction["confidence"],
        rival=rival["id"] if rival else None,
        model_version=prediction["model_version"],
        assigned_at=now(),
    )


def _assignments(answer: ColumnarAnswer) -> list[Placement]:
    ids: list[str | None] = [*(segment["id"] for segment in answer["segments"]), None]  # index -1: no rival
    version, at = answer["model_version"], now()
    return [
        {"id": ids[own], "confidence": sure, "rival": ids[rival], "model_version": version, "assigned_at": at}  # type: ignore[typeddict-item]  # own is never -1
        for own, rival, sure in zip(answer["cluster"], answer["rival"], answer["confidence"], strict=True)
    ]


BATCH = 1_000


class _Outcome(NamedTuple):
    """How many of a batch were assigned, and how many somebody else had changed since they were read."""

    assigned: int = 0
    contested: int = 0


class Reconciler:
    """Assigns customers that are pending or were assigned by another model version.

    One of the worker's duties (`gateway.worker.Duty`). Any number of workers share the customers without knowing of
    each other: each begins at another place, and goes elsewhere where it meets another.
    """

    def __init__(
        self, store: CustomerStore, model: Model, assigner: Assigner, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._model = model
        self._assigner = assigner
        self._standstill = Standstill(clock)

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:
        """Go through all due customers once; return how many were assigned.

        Parameters
        ----------
        heartbeat : called after each batch, so that a long pass does not look like a hang.

        Raises
        ------
        ModelServiceError, StoreError
            the pass ends there; the next one carries on.
        """
        status = self._model.status()
        if not self._standstill.begin(status):
            return 0
        version, assigned, contested = status.version, 0, True
        while contested and self._store.due(version, None, 1, self._standstill.lacked):
            some, contested = self._go_round(version, heartbeat)
            assigned += some
        self._standstill.end()
        if assigned:
            log.info("assigned %d customers by model %s", assigned, version)
        return assigned

    def _go_round(self, version: str, heartbeat: Callable[[], None]) -> tuple[int, bool]:
        """Go round all due customers, from anywhere, or until another worker is met.

        Return how many were assigned, and whether one was met.
        """
        assigned = 0
        for due in self._batches(version, self._store.somewhere()):
            outcome = self._assign(self._standstill.admit(due))
            assigned += outcome.assigned
            heartbeat()
            if outcome.contested > len(due) // 2:
                return assigned, True
        return assigned, False

    def _batches(self, version: str, start: str | None) -> Iterator[list[StoredCustomer]]:
        """Yield the due customers that follow `start`, in CUST_ID order, and then those from the first one up to it."""
        after = start
        while due := self._store.due(version, after, BATCH, self._standstill.lacked):
            yield due
            after = due[-1][CUST_ID]
        after = None
        while start and (due := self._store.due(version, after, BATCH, self._standstill.lacked)):
            due = [c for c in due if c[CUST_ID] <= start]
            if not due:
                return
            yield due
            after = due[-1][CUST_ID]

    def _assign(self, due: list[StoredCustomer]) -> _Outcome:
        """Assign a batch; one customer that cannot be assigned must not hold up the others."""
        if not due:
            return _Outcome()
        try:
            segments = self._assigner.score(due)
            reason = reason_of(Origin(COMMAND_LINE), "model_activated")
            missed = self._store.update_many(
                [assigned_customer(c, new, c.get("due", reason)) for c, new in zip(due, segments, strict=True)]
            )
            return _Outcome(len(due) - len(missed), len(missed))
        except StoreUnavailable:
            raise
        except (ModelRefused, StoreError) as error:
            if isinstance(error, ModelRefused) and error.whole:
                raise  # no customer's fault
            if len(due) == 1:
                self._standstill.refuse(due[0], error)
                return _Outcome()
        half = len(due) // 2
        first, second = self._assign(due[:half]), self._assign(due[half:])
        return _Outcome(first.assigned + second.assigned, first.contested + second.contested)
