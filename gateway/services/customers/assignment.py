"""Giving stored customers their segment: within a short deadline on a write, in batches for imports and the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.services.clock import now
from gateway.services.customers.customer import Assignment, Customer, Features, assigned_customer
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import ModelRefused, ModelServiceError, StoreError, StoreUnavailable
from gateway.services.models.model import Model
from shared.contract import ColumnarAnswer, ModelSummary, Prediction
from shared.features import CUST_ID, INPUT_NAMES

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Assigner:
    """Asks the model for segments; a model that is away costs a write at most the deadline, and most writes nothing.

    After a failure the model is left alone for `pause` seconds, then one caller tries again while the others still
    skip it (a circuit breaker; pybreaker was considered, but it lets no single caller probe while others pass by).

    Parameters
    ----------
    deadline : seconds a write may wait for the model.
    pause : seconds between attempts while the model is away.
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

    def assign(self, features: Features) -> Assignment | None:
        """Return the customer's segment, or None when the model cannot say in time: the worker will."""
        prediction = self._ask(lambda: self._model.predict(features, self._deadline))
        return assignment_of(prediction) if prediction else None

    def active(self) -> ModelSummary | None:
        """Return the active model's description, or None while the model is away."""
        return self._ask(lambda: self._model.active(self._deadline))

    def assign_columns(self, rows: Sequence[Features], deadline: float | None = None) -> list[Assignment] | None:
        """Return the segments of many customers, in order, or None when the model is away.

        Parameters
        ----------
        deadline : seconds to wait; None for as long as bulk work may.
        """
        return self._ask(lambda: self.score(rows, deadline))

    def score(self, rows: Sequence[Features], deadline: float | None = None) -> list[Assignment]:
        """Return the segments of many customers, in order.

        Raises
        ------
        ModelServiceError
            when the model service gives no usable answer.
        """
        columns = {name: [row.get(name) for row in rows] for name in INPUT_NAMES}
        answer = self._model.score(columns, deadline)
        return _assignments(answer)

    def _ask(self, call: Callable[[], Answer]) -> Answer | None:
        """Return what the model answers, or None while it is away."""
        if not self._may_ask():
            return None
        try:
            answer = call()
        except ModelServiceError as error:
            self._note_failure(error)
            return None
        self._failing = False
        return answer

    def _may_ask(self) -> bool:
        if not self._failing:
            return True
        if self._clock() < self._try_again_at:
            return False
        self._try_again_at = self._clock() + self._pause  # this caller probes, the others keep skipping
        return True

    def _note_failure(self, error: ModelServiceError) -> None:
        if not self._failing:
            log.warning("model service: %s; customers are stored as pending until it is back", error)
        self._try_again_at = self._clock() + self._pause
        self._failing = True


def assignment_of(prediction: Prediction) -> Assignment:
    """Return what is stored of a prediction."""
    rival = prediction["rival"]
    return Assignment(
        id=prediction["segment"]["id"],
        confidence=prediction["confidence"],
        rival=rival["id"] if rival else None,
        model_version=prediction["model_version"],
        assigned_at=now(),
    )


def _assignments(answer: ColumnarAnswer) -> list[Assignment]:
    ids: list[str | None] = [*(segment["id"] for segment in answer["segments"]), None]  # index -1: no rival
    version, at = answer["model_version"], now()
    return [
        {"id": ids[own], "confidence": sure, "rival": ids[rival], "model_version": version, "assigned_at": at}  # type: ignore[typeddict-item]  # own is never -1
        for own, rival, sure in zip(answer["cluster"], answer["rival"], answer["confidence"], strict=True)
    ]


BATCH = 1_000


class Reconciler:
    """Assigns customers that are pending or were assigned by another model version."""

    def __init__(self, store: CustomerStore, model: Model, assigner: Assigner) -> None:
        self._store = store
        self._model = model
        self._assigner = assigner

    def run_once(self, alive: Callable[[], None] = lambda: None) -> int:
        """Go through all due customers once, in CUST_ID order; return how many were assigned.

        Parameters
        ----------
        alive : called after each batch, so that a long pass does not look like a hang.

        Raises
        ------
        ModelServiceError, StoreError
            the pass ends there; the next one carries on.
        """
        version = self._model.version()
        assigned, after = 0, None
        while due := self._store.due(version, after, BATCH):
            assigned += self._assign(due)
            after = due[-1][CUST_ID]
            alive()
        if assigned:
            log.info("assigned %d customers by model %s", assigned, version)
        return assigned

    def _assign(self, due: list[Customer]) -> int:
        """Assign a batch; one customer that cannot be assigned must not hold up the others."""
        try:
            segments = self._assigner.score(due)
            return self._store.assign_many(
                [(assigned_customer(c, segment), c["revision"]) for c, segment in zip(due, segments, strict=True)]
            )
        except StoreUnavailable:
            raise
        except (ModelRefused, StoreError) as error:
            if len(due) == 1:
                log.error("customer %s cannot be assigned until its data are corrected: %s", due[0][CUST_ID], error)
                return 0
        half = len(due) // 2
        return self._assign(due[:half]) + self._assign(due[half:])


class SortIndexes:
    """A duty of the worker: a first load drops the indexes of lists, an older version of the service had none.

    Parameters
    ----------
    loading : whether somebody is loading customers without these indexes just now, and will build them.
    """

    def __init__(self, store: CustomerStore, loading: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._loading = loading

    def run_once(self, alive: Callable[[], None] = lambda: None) -> int:
        """Build those that are missing; return how many were.

        Raises
        ------
        StoreError
        """
        if self._loading():
            return 0
        built = self._store.build_sort_indexes(alive)
        if built:
            log.info("built %d indexes for lists of customers", built)
        return built
