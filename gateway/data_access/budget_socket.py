"""A socket that gives up at a time, not after a silence."""

from __future__ import annotations

import math
import socket
import time
from typing import Any


class BudgetSocket(socket.socket):
    """A socket whose time-out is a budget for all that is received after it was set, not for each piece.

    urllib3 and http.client set it once an exchange; a server that trickles its answer, headers included, could
    otherwise hold its caller for ever.

    Attributes
    ----------
    silence : seconds in which something must be received, or a call to send end, whatever is left of the budget.
    """

    silence = math.inf
    _give_up_at = math.inf

    @classmethod
    def around(cls, plain: socket.socket) -> BudgetSocket:
        """Take over a connected socket; its time-out has to be set anew."""
        return cls(plain.family, plain.type, plain.proto, plain.detach())

    def settimeout(self, value: float | None) -> None:
        """Start a budget of `value` seconds."""
        self._give_up_at = math.inf if value is None else time.monotonic() + value
        super().settimeout(None if value is None else min(value, self.silence))

    def recv_into(self, *arguments: Any) -> int:
        """Receive what is there before the budget ends."""
        if self._give_up_at != math.inf:
            left = self._give_up_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("the budget is used up")
            super().settimeout(min(left, self.silence))
        return super().recv_into(*arguments)
