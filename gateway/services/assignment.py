"""Giving stored customers their segment: within a short deadline on a write, in batches for imports and the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.services.clock import now
from gateway.services.customer import Assignment, Features
from gateway.services.errors import ModelServiceError
from gateway.services.model import Model
from shared.contract import ColumnarAnswer, ModelSummary, Prediction
from shared.features import INPUT_NAMES

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
