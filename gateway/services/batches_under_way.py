"""Batches that threads are storing: not too many at a time, counted in the order of the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Lock

from gateway.services.import_tally import StoredBatch


class BatchesUnderWay:
    """Batches under way; threads may share it.

    Parameters
    ----------
    stored : called with each batch that has been stored, in order; never by two threads at once.
    """

    def __init__(self, stored: Callable[[StoredBatch], None]) -> None:
        self._stored = stored
        self._futures: deque[Future[StoredBatch]] = deque()
        self._failure: BaseException | None = None
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._futures)

    def add(self, batch: Future[StoredBatch]) -> None:
        """Take another batch in."""
        self._futures.append(batch)

    def wait(self, most: int, seconds: float) -> bool:
        """Wait until at most `most` are under way, or for `seconds`; return whether it has come to that.

        Raises
        ------
        BaseException
            what stopped one of them, the first in the order of the file.
        """
        with self._lock:
            due = list(self._futures)[: max(0, len(self._futures) - most)]
        if due:  # all of them: a later one may be stored before an earlier one
            wait(due, seconds)
        self.count()
        if self._failure:
            raise self._failure
        return len(self._futures) <= most

    def count(self) -> None:
        """Hand those on that have been stored."""
        with self._lock:
            while self._futures and self._futures[0].done():
                batch = self._futures.popleft()
                if failure := batch.exception():
                    self._failure = self._failure or failure
                else:
                    self._stored(batch.result())
