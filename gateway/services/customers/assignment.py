"""Giving stored customers their segment: within a short deadline on a write, in batches for imports and the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TypeVar

from gateway.services.clock import now
from gateway.services.customers.customer import Features, Placement
from gateway.services.errors import ModelRefused, ModelServiceError
from gateway.services.models.model import Model
from shared.contract import ColumnarAnswer, Prediction
from shared.features import INPUT_NAMES

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
        answer = self._model.score(_columns(rows), deadline)
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


_inputs = itemgetter(*INPUT_NAMES)


def _columns(rows: Sequence[Features]) -> dict[str, Sequence[float | int | None]]:
    try:
        values = [_inputs(row) for row in rows]
    except KeyError:  # one from before there was a feature
        values = [tuple(map(row.get, INPUT_NAMES)) for row in rows]
    return dict(zip(INPUT_NAMES, zip(*values, strict=True), strict=True))


def _assignments(answer: ColumnarAnswer) -> list[Placement]:
    ids: list[str | None] = [*(segment["id"] for segment in answer["segments"]), None]  # index -1: no rival
    version, at = answer["model_version"], now()
    return [
        {"id": ids[own], "confidence": sure, "rival": ids[rival], "model_version": version, "assigned_at": at}  # type: ignore[typeddict-item]  # own is never -1
        for own, rival, sure in zip(answer["cluster"], answer["rival"], answer["confidence"], strict=True)
    ]
