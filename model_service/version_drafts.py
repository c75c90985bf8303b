"""Versions that are being written: hidden directories in the store, of whoever holds the lock of trainings."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from model_service.durable_files import exclusive

PREFIX = ".writing-"
"""How the name of a version begins while it is being written."""


@contextlib.contextmanager
def drafting(store: Path) -> Iterator[None]:
    """Be the only one who writes a version, over all processes; what a dead one left half written is removed.

    Raises
    ------
    BlockingIOError
        when another does.
    OSError
    """
    with exclusive(store / ".training.lock", wait=False):
        for draft in store.glob(f"{PREFIX}*"):
            shutil.rmtree(draft)
        yield


def clear(store: Path) -> None:
    """Remove what the dead left half written, unless somebody writes a version now.

    Raises
    ------
    OSError
    """
    with contextlib.suppress(BlockingIOError), drafting(store):
        pass
