"""The worker's loop: make the world agree with what the database says it should be, again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from gateway.services.errors import SegmentationError

log = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0


class Duty(Protocol):
    """What the worker sees to. What is to be done is a query each time, so that nothing can be forgotten."""

    def run_once(self, heartbeat: Callable[[], None]) -> int:
        """Do what there is to do now, calling `heartbeat` after each part; may raise any `SegmentationError`."""


def work(duties: Sequence[Duty], interval: float, heartbeat: Path | None = None) -> None:
    """Do the duties for ever; while a tier is unavailable, pause longer and longer, up to `LONGEST_PAUSE` seconds.

    Parameters
    ----------
    interval : seconds between two looks for what there is to do.
    heartbeat : a file whose time is renewed with every batch and every look, for health checks.
    """
    beat = heartbeat.touch if heartbeat else (lambda: None)
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
            duty.run_once(heartbeat)
        except SegmentationError as error:
            failure = failure or error
    return failure
