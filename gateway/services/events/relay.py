"""The relay, a duty of the worker; a module of its own, because every worker needs it and nobody else does."""

from __future__ import annotations

from collections.abc import Callable

from gateway.services.events.log import Outboxes

RELAY_SECONDS = 0.2
"""Between two looks, so that a change is in the log within a second."""

AT_ONCE = 500
"""Customers whose changes one transaction moves: whoever writes one of them meanwhile waits for it."""


class Relay:
    """Moves what waits into the log. Several workers may do so at the same time."""

    def __init__(self, outboxes: Outboxes) -> None:
        self._outboxes = outboxes

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
        return moved
