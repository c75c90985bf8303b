"""The worker's loop: make the world agree with what the database says it should be, again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Protocol

from prometheus_client import Counter, Gauge

from gateway.services.errors import SegmentationError
from shared.problems import request_id
from shared.telemetry import traces
from shared.telemetry.logs import named

log = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0


class Duty(Protocol):
    """What the worker sees to. What is to be done is a query each time, so that nothing can be forgotten."""

    def run_once(self, heartbeat: Callable[[], None]) -> int:
        """Do what there is to do now, calling `heartbeat` after each part; may raise any `SegmentationError`."""


_runs = Counter("worker_duty_runs_total", "Runs of a duty, by how they ended.", ["duty", "outcome"])
_succeeded = Gauge(
    "worker_duty_last_success_timestamp_seconds",
    "When a duty last ended as it should; before it has, when the worker began.",
    ["duty"],
)
_beat = Gauge("worker_heartbeat_timestamp_seconds", "When the worker last began or went on with a duty.")


class Counted:
    """A duty whose runs are counted."""

    def __init__(self, duty: Duty, name: str) -> None:
        self.name = name
        self._duty = duty
        self._done = _runs.labels(name, "done")
        self._failed = _runs.labels(name, "failed")
        self._at = _succeeded.labels(name)
        self._at.set_to_current_time()

    def run_once(self, heartbeat: Callable[[], None]) -> int:
        """Do the duty."""
        try:
            done = self._duty.run_once(heartbeat)
        except BaseException:
            self._failed.inc()
            raise
        self._done.inc()
        self._at.set_to_current_time()
        return done


class Beside:
    """A duty that goes on in a thread while the others are done: it can take long, or has to be done more often.

    What goes wrong is raised at the next look. A thread that does the duty again by itself goes on all the same: while
    customers are scored anew, the next look may be minutes away.

    Parameters
    ----------
    every : seconds after which the thread does the duty again by itself; None: it is done once for each look.
    """

    def __init__(self, duty: Duty, name: str, every: float | None = None) -> None:
        self._duty = duty
        self._name = name
        self._every = every
        self._thread: Thread | None = None
        self._failure: BaseException | None = None

    def run_once(self, heartbeat: Callable[[], None]) -> int:
        """Begin the duty anew, unless it is still going on."""
        # In this order: what a thread that has ended leaves is there by then, and is raised now.
        ended = self._thread is None or not self._thread.is_alive()
        failure, self._failure = self._failure, None
        if ended:
            # A daemon, so that a worker that is told to stop does not wait for it.
            self._thread = Thread(target=self._run, args=[heartbeat], daemon=True, name=self._name)
            self._thread.start()
        if failure:
            raise failure
        return 0

    def _run(self, heartbeat: Callable[[], None]) -> None:
        self._attempt(heartbeat)
        while self._every is not None and isinstance(self._failure, SegmentationError | None):
            time.sleep(self._every)
            self._attempt(heartbeat)

    def _attempt(self, heartbeat: Callable[[], None]) -> None:
        try:
            carry_out(self._duty, heartbeat)
        except Exception as error:  # noqa: BLE001  # raised by run_once
            self._failure = error


def work(duties: Sequence[Duty], interval: float, heartbeat: Path | None = None) -> None:
    """Do the duties for ever; while a tier is unavailable, pause longer and longer, up to `LONGEST_PAUSE` seconds.

    Parameters
    ----------
    interval : seconds between two looks for what there is to do.
    heartbeat : a file whose time is renewed with every batch and every look, for health checks.
    """

    def beat() -> None:
        _beat.set_to_current_time()
        if heartbeat:
            heartbeat.touch()

    pause = interval
    while True:
        failure = attempt(duties, beat)
        if failure and pause == interval:
            log.info("waiting: %s", failure)  # at every start of a whole system the others are a moment behind
        elif not failure and pause > interval:
            log.info("working again")
        pause = min(pause * 2, max(LONGEST_PAUSE, interval)) if failure else interval
        time.sleep(pause)


def attempt(duties: Sequence[Duty], heartbeat: Callable[[], None]) -> SegmentationError | None:
    """Make one pass over all duties; return what stopped one of them, if anything did. It stops no other."""
    failure = None
    for duty in duties:
        heartbeat()
        try:
            carry_out(duty, heartbeat)
        except SegmentationError as error:
            failure = failure or error
    return failure


def carry_out(duty: Duty, heartbeat: Callable[[], None]) -> None:
    """Do a duty once, as a piece of work of its own: its lines and its calls of the model service carry one id."""
    with named(request_id(None)), traces.span(f"duty {_name_of(duty)}", "internal") as span:
        span.note(**{traces.DONE: duty.run_once(heartbeat)})


def _name_of(duty: Duty) -> str:
    return duty.name if isinstance(duty, Counted) else type(duty).__name__
