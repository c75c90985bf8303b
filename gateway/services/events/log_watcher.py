"""One look for all readers of the feed who wait: whether the log has grown."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gateway.services.errors import StoreError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2


class LogWatcher:
    """Wakes the readers that wait within this process.

    A thread looks at the end of the log every `LOOK_SECONDS`, as long as somebody waits: so many readers cost the
    database no more than one. While it is away they go on waiting, for it may be back before they give up.

    Parameters
    ----------
    head : returns the last position.
    """

    def __init__(self, head: Callable[[], int], look_seconds: float = LOOK_SECONDS) -> None:
        self._head = head
        self._look_seconds = look_seconds
        self._grown = threading.Condition()
        self._end = 0
        self._looks = 0
        self._waiting = 0
        self._looking = False
        self._closed = threading.Event()

    def wait(self, position: int, seconds: float) -> bool:
        """Wait until the log has a greater position; return whether it has, which it has not after some seconds."""
        with self._grown:
            self._waiting += 1
            if not self._looking:
                self._looking = True
                # A daemon, so that a process that is told to stop does not wait for it.
                threading.Thread(target=self._look, name="log-watcher", daemon=True).start()
            before = self._looks  # of a look that was made before nobody knows whether it still holds
            try:
                self._grown.wait_for(
                    lambda: (self._looks > before and self._end > position) or self._closed.is_set(), seconds
                )
                return self._end > position and not self._closed.is_set()
            finally:
                self._waiting -= 1

    def close(self) -> None:
        """Let everybody go who waits or comes to wait: the process is about to end."""
        self._closed.set()
        with self._grown:
            self._grown.notify_all()

    def _look(self) -> None:
        while self._is_wanted():
            try:
                self._report(self._head())
            except StoreError as error:
                log.debug("readers wait on while the log cannot be read: %s", error)
            except BaseException:
                with self._grown:
                    self._looking = False  # the next reader begins anew
                raise
            self._closed.wait(self._look_seconds)

    def _is_wanted(self) -> bool:
        with self._grown:
            self._looking = self._waiting > 0 and not self._closed.is_set()
            return self._looking

    def _report(self, head: int) -> None:
        with self._grown:
            self._looks += 1
            self._end = head
            self._grown.notify_all()
