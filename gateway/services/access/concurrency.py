"""How many threads each kind of work may hold: whatever hangs or is slow, the other kinds go on.

A thread that waits serves nobody else, and a request for which no thread is left cannot even be refused. So each kind
of work has a bound of its own on how many requests are carried out and how many wait for their turn, and the server is
given more threads than all bounds together (`ConcurrencyLimits.threads`): health checks always find one. One caller
never holds all places of a kind, nor all that wait for them.

A library was looked for: those for Python (such as aiolimiter, pyrate-limiter) limit rates, or count without callers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from gateway.services.errors import (
    AnalysisBusy,
    ModelBusy,
    PagesBusy,
    SegmentationError,
    StoreUnavailable,
    TooManyReaders,
)

Held: TypeAlias = Callable[[Hashable], AbstractContextManager[None]]
"""Holds a place for a caller, as `ConcurrencyLimit.held` does."""


def unbounded(_caller: Hashable) -> AbstractContextManager[None]:
    """Hold nothing: for where there is no bound."""
    return nullcontext()


QUEUE_SECONDS = 3.0
"""Longest wait for a place: all that one caller may let wait have ended by then, even where a machine is busy and does
only 25 in a second; otherwise something hangs. Whoever waits holds a thread that nobody else needs."""

WAITING = 128
"""How many requests of a quick kind may wait: 60 connections of a front end are refused nothing by a healthy system."""


@dataclass(slots=True, eq=False)
class _Turn:
    caller: Hashable
    come: threading.Lock = field(default_factory=threading.Lock)


class ConcurrencyLimit:
    """A bound on what goes on at once, with a queue in which places are given in the order of arrival.

    Parameters
    ----------
    places : how many at once.
    refusal : makes the error for one too many.
    waiting : how many may wait for a place; further ones are refused at once.
    share : how many places one caller may hold; half of them if not given. Of those that wait, it is half as well.

    Attributes
    ----------
    refused : how many were refused so far.
    """

    def __init__(
        self, places: int, refusal: Callable[[], SegmentationError], waiting: int = 0, share: int | None = None
    ) -> None:
        self.places = places
        self.waiting = waiting
        self.refused = 0
        self._refusal = refusal
        self._share = max(1, places // 2 if share is None else share)
        self._free = places
        self._held: dict[Hashable, int] = {}
        self._queue: list[_Turn] = []
        self._lock = threading.Lock()

    @property
    def in_use(self) -> int:
        """How many places are taken."""
        return self.places - self._free

    @contextmanager
    def held(self, caller: Hashable) -> Iterator[None]:
        """Hold a place for the length of a `with` block.

        Raises
        ------
        SegmentationError
            as `take`.
        """
        self.take(caller)
        try:
            yield
        finally:
            self.give_back(caller)

    def take(self, caller: Hashable) -> None:
        """Take a place, which has to be given back.

        Raises
        ------
        SegmentationError
            the one that `refusal` makes, when none becomes free in time.
        """
        with self._lock:
            if self._granted(caller):
                return
            turn = self._queued(caller)
        if not turn.come.acquire(timeout=QUEUE_SECONDS):
            with self._lock:
                if turn in self._queue:  # else its turn has come at the last moment
                    self._queue.remove(turn)
                    raise self._refused()

    def give_back(self, caller: Hashable) -> None:
        """Give a place back, to whoever has waited longest and may have it."""
        with self._lock:
            self._free += 1
            left = self._held.pop(caller) - 1
            if left:
                self._held[caller] = left
            for turn in self._queue:
                if self._granted(turn.caller):
                    self._queue.remove(turn)
                    turn.come.release()
                    break

    def _granted(self, caller: Hashable) -> bool:
        """Take a place if one is free and the caller may have it; whoever waits then must not have it."""
        mine = self._held.get(caller, 0)
        if not self._free or mine >= self._share:
            return False
        self._free -= 1
        self._held[caller] = mine + 1
        return True

    def _refused(self) -> SegmentationError:
        self.refused += 1
        return self._refusal()

    def _queued(self, caller: Hashable) -> _Turn:
        if len(self._queue) >= self.waiting:
            raise self._refused()
        if sum(turn.caller == caller for turn in self._queue) >= (self.waiting + 1) // 2:
            raise self._refused()
        turn = _Turn(caller)
        turn.come.acquire()
        self._queue.append(turn)
        return turn


class ConcurrencyLimits(NamedTuple):
    """The bounds of one process.

    Attributes
    ----------
    records : on reading and writing single customers and other documents.
    many : on lists, counts and batches.
    model : on what waits for the model service alone.
    both : on what waits for the database and for the model service, so that neither holds up what needs but the other.
    exports, imports, analyses : on what goes over whole files or all customers.
    readers : on waiting for events.
    pages : on what anybody may ask without a key.
    keys : on reading API keys, which every request needs first.
    quotas : on counting requests in the database.
    """

    records: ConcurrencyLimit
    many: ConcurrencyLimit
    model: ConcurrencyLimit
    both: ConcurrencyLimit
    exports: ConcurrencyLimit
    imports: ConcurrencyLimit
    analyses: ConcurrencyLimit
    readers: ConcurrencyLimit
    pages: ConcurrencyLimit
    keys: ConcurrencyLimit
    quotas: ConcurrencyLimit

    @property
    def threads(self) -> int:
        """How many threads the server needs, so that one is always left for what has no bound: it never waits."""
        return sum(limit.places + limit.waiting for limit in self) + _SPARE


_SPARE = 4


def concurrency_limits(size: int) -> ConcurrencyLimits:
    """Return the bounds of a process in which a caller has up to `size` requests for single documents carried out."""

    def long() -> ConcurrencyLimit:
        places = 1 + max(1, size // 2)
        return ConcurrencyLimit(places, AnalysisBusy, share=places - 1)

    return ConcurrencyLimits(
        records=ConcurrencyLimit(2 * size, _database_busy, WAITING),
        many=ConcurrencyLimit(max(2, size), _database_busy, WAITING),
        model=ConcurrencyLimit(2 * size, ModelBusy, WAITING),
        both=ConcurrencyLimit(2 * size, ModelBusy, WAITING),
        exports=long(),
        imports=long(),
        analyses=long(),
        readers=ConcurrencyLimit(16 * size, TooManyReaders),
        pages=ConcurrencyLimit(2 * size, PagesBusy, 4 * size),
        keys=ConcurrencyLimit(2 * size, _database_busy, WAITING),
        quotas=ConcurrencyLimit(2 * size, _database_busy, WAITING),
    )


def _database_busy() -> StoreUnavailable:
    return StoreUnavailable("Too many requests are waiting for the database; try again in a moment.")
