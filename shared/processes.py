"""Processes that end with those that started them: a server's workers would otherwise go on and hold its port."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def end_with_parent() -> None:
    """Let this process be killed when the one dies that made it a worker; does nothing in others, or outside of Linux.

    Servers stop their workers in order; this is for one that was killed and could not.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    signal_at_death_of_parent(signal.SIGKILL)
    if os.getppid() != parent.pid and sys.platform == "linux":  # it has died already
        os.kill(os.getpid(), signal.SIGKILL)


def signal_at_death_of_parent(number: int) -> None:
    """Let the system send this process a signal when the thread ends that started it."""
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Let processes whose parents have died become children of this one, if they descend from it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
