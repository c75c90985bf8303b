"""The worker's loop: make stored assignments agree with the active model, again and again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from gateway.services.errors import SegmentationError
from gateway.services.reconciliation import Reconciler

log = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0


def work(reconciler: Reconciler, interval: float, heartbeat: Path | None = None) -> None:
    """Reconcile for ever; while a tier is away, try again after growing pauses of at most `LONGEST_PAUSE` seconds.

    Parameters
    ----------
    interval : seconds between two looks for customers that are due.
    heartbeat : a file whose time is renewed with every batch and every look, for health checks.
    """
    alive = heartbeat.touch if heartbeat else (lambda: None)
    pause = interval
    while True:
        failure = attempt(reconciler, alive)
        if failure and pause == interval:
            log.info("waiting: %s", failure)  # at every start of a whole system the others are a moment behind
        elif not failure and pause > interval:
            log.info("working again")
        pause = min(pause * 2, max(LONGEST_PAUSE, interval)) if failure else interval
        time.sleep(pause)


def attempt(reconciler: Reconciler, alive: Callable[[], None]) -> SegmentationError | None:
    """Make one pass; return what stopped it, if anything did."""
    alive()
    try:
        reconciler.run_once(alive)
    except SegmentationError as error:
        return error
    return None
