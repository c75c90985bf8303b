"""The `QuotaStore` port in memory; `contracts.rate_limits` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from gateway.services.access.rate_limits import Grant, Rate, share
from gateway.services.errors import StoreError


class InMemoryQuotaStore:
    """Windows in a dict. Set `failure` to make every call raise it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.windows: dict[tuple[str, Rate], tuple[float, int]] = {}
        self.asked = 0
        self.failure: StoreError | None = None
        self._clock = clock
        self._lock = Lock()

    def take(self, key: str, rate: Rate, most: int) -> Grant:
        self.asked += 1
        if self.failure:
            raise self.failure
        with self._lock:
            now = self._clock()
            ends_at, left = self.windows.get((key, rate), (now, 0))
            if ends_at <= now:
                ends_at, left = now + rate.seconds, rate.amount
            taken = share(left, most)
            self.windows[key, rate] = ends_at, left - taken
            return Grant(taken, left - taken, ends_at - now)
