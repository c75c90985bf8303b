"""How many customers each segment has: counted in the background, because it goes over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Final

from gateway.services.clock import now
from gateway.services.customers.store import SegmentCounts
from gateway.services.errors import SegmentsBeingCounted

SHARE: Final = 20
"""Counting goes on for at most one part in so many of the time, whoever asks how often."""
CHEAP_SECONDS: Final = 0.1
"""What counting may take without being shared: a hundred thousand customers take less."""
OLDEST_SECONDS: Final = 300.0
"""How old sizes may be that are told while others are counted; or twice as long as they are kept, if that is longer."""
WAIT_SECONDS: Final = 0.3
"""How long a request waits for a count where there are sizes from before."""
FIRST_WAIT_SECONDS: Final = 3.0
"""How long one waits where there are none, which happens once in a process: half a million customers are counted."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What was counted, and at which time: whatever was stored before that is in it."""

    counts: SegmentCounts
    as_of: datetime


class _Count:
    """One count, in a thread of its own."""

    def __init__(self, count: Callable[[], SegmentCounts], clock: Callable[[], float]) -> None:
        self.sizes: Sizes | None = None
        self.failure: Exception | None = None
        self.waited_for_in_vain = False
        self.done = Event()
        self.began = self.ended = clock()
        self._count = count
        self._clock = clock
        Thread(target=self._run, daemon=True, name="segment-sizes").start()

    def _run(self) -> None:
        as_of, self.began = now(), self._clock()
        try:
            self.sizes = Sizes(self._count(), as_of)
        except Exception as error:  # noqa: BLE001  # raised to those who wait
            self.failure = error
        self.ended = self._clock()
        self.done.set()

    @property
    def kept_until(self) -> float:
        """Until when nobody needs to count anew."""
        took = self.ended - self.began
        return self.ended + SHARE * took if took > CHEAP_SECONDS else self.began

    @property
    def told_until(self) -> float:
        """Until when it may be told while another count is going on."""
        return self.began + max(OLDEST_SECONDS, 2 * (self.kept_until - self.began))


class SegmentSizes:
    """The sizes of all segments, at most so old as the constants above say.

    One count at a time goes on in a process, and no request carries it out: those that come meanwhile wait a moment,
    for most bases are counted in less, and go on with the sizes from before.

    Parameters
    ----------
    count : counts the stored customers (`CustomerStore.segment_counts`).
    wait_seconds, first_wait_seconds : seconds to wait for a count; the second where there are no sizes from before.
        Once somebody has waited in vain for a count, nobody else does.
    """

    def __init__(
        self,
        count: Callable[[], SegmentCounts],
        wait_seconds: float = WAIT_SECONDS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._wait_seconds = wait_seconds
        self._first_wait_seconds = first_wait_seconds
        self._clock = clock
        self._last: _Count | None = None
        self._failure: Exception | None = None
        self._current: _Count | None = None
        self._lock = Lock()

    def now(self) -> Sizes:
        """Return the sizes.

        Raises
        ------
        SegmentsBeingCounted
            there are none yet that are young enough.
        StoreError
        """
        with self._lock:
            current = self._current
            if current and current.done.is_set():
                self._failure = current.failure
                self._last, current = (current if current.sizes else self._last), None
            if self._last and self._last.sizes and self._clock() < self._last.kept_until:
                return self._last.sizes
            current = self._current = current or _Count(self._count, self._clock)
            longest = self._wait_seconds if self._last else self._first_wait_seconds
        if not current.done.wait(0 if current.waited_for_in_vain else longest):
            current.waited_for_in_vain = True
            return self._from_before()
        if current.failure:
            raise current.failure
        assert current.sizes is not None  # it is done and has not failed
        return current.sizes

    def _from_before(self) -> Sizes:
        last = self._last
        if last and last.sizes and self._clock() < last.told_until:
            return last.sizes
        raise self._failure or SegmentsBeingCounted()
