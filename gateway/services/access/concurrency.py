"""How many of a process's threads may wait for the model service: while it hangs, the rest must go on answering.

Two bounds, so that neither an analysis of the whole base nor a model service that stands still stops customers from
being read and written:

- long calls (trainings, previews, drift and drawing) hold at most half of the threads, and one more is refused at once;
- with everything else that a caller wants of the model, they leave a thread over. What waits for long enough to matter
  but short enough to be asked often, such as a prediction, may queue for a moment.

Writes ask for a customer's segment outside of the bounds: `assignment.Assigner` stops asking after a failure. A process
of one or two threads has none to leave over: there, a model service that stands still costs up to a short deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import NamedTuple

from gateway.services.errors import AnalysisBusy, ModelBusy, SegmentationError

QUEUE_SECONDS = 0.3
"""Longest wait for a slot: enough for some predictions to end, and for health checks behind it not to be missed."""


class ConcurrencyLimit:
    """A bound on what goes on at once.

    Parameters
    ----------
    count : how many at once.
    refusal : makes the error for one too many.
    queue_seconds : how long one too many waits before it is refused. Once one has waited in vain, the others are
        refused at once until a slot is given back: a queue would occupy the very threads that are to be kept free.
    """

    def __init__(self, count: int, refusal: Callable[[], SegmentationError], queue_seconds: float = 0.0) -> None:
        self._free = BoundedSemaphore(count)
        self._refusal = refusal
        self._queue_seconds = queue_seconds
        self._stuck = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a slot for the length of a `with` block.

        Raises
        ------
        SegmentationError
            the one that `refusal` makes, when none is free.
        """
        if not self._free.acquire(timeout=0 if self._stuck else self._queue_seconds):
            self._stuck = True
            raise self._refusal()
        try:
            yield
        finally:
            self._stuck = False
            self._free.release()


class ConcurrencyLimits(NamedTuple):
    """The bounds of one process: on long calls, and on all that wait for the model service."""

    long_calls: ConcurrencyLimit
    waits: ConcurrencyLimit


def concurrency_limits(threads: int) -> ConcurrencyLimits:
    """Return the bounds for a process of so many threads."""
    long_calls = max(1, threads // 2)
    waits = max(threads - 1, long_calls + 1)  # a long call alone must not keep predictions out
    return ConcurrencyLimits(
        ConcurrencyLimit(long_calls, AnalysisBusy), ConcurrencyLimit(waits, ModelBusy, QUEUE_SECONDS)
    )
