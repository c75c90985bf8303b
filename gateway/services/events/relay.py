"""The relay, a duty of the worker: what waits comes into the log, and what has been kept long enough leaves it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from gateway.services.clock import now
from gateway.services.events.log import ChangeLog, Outboxes

log = logging.getLogger(__name__)

RELAY_SECONDS = 0.2
"""Between two looks, so that a change is in the log within a second."""

AT_ONCE = 500
"""Customers whose changes one transaction moves: whoever writes one of them meanwhile waits for it."""

FORGET_SECONDS = 60.0
"""Between two looks for what has been kept long enough."""


class Relay:
    """Moves what waits into the log, and keeps the log for so many `days`. Several workers may do so at once."""

    def __init__(
        self, outboxes: Outboxes, changes: ChangeLog, days: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._outboxes = outboxes
        self._changes = changes
        self._kept = timedelta(days=days)
        self._clock = clock
        self._forget_at = 0.0

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Move everything that waits; return how many entries those were.

        There is no heartbeat: that of a thread of its own would hide that the worker itself stands still.

        Raises
        ------
        StoreError
        """
        moved = 0
        while some := self._outboxes.move(AT_ONCE):
            moved += some
        if self._clock() >= self._forget_at:
            self._forget_at = self._clock() + FORGET_SECONDS
            if dropped := self._changes.forget(now() - self._kept):
                log.info("dropped %d entries of the change log that were older than %d days", dropped, self._kept.days)
        return moved
