"""Imports that go on without whoever sent the file: each in a thread of its own, a few at a time in one process."""

from __future__ import annotations

import logging
from contextvars import copy_context
from threading import Thread
from typing import Final

from gateway.services.access.concurrency import ConcurrencyLimit
from gateway.services.errors import AnalysisBusy
from gateway.services.imports.run import ImportRun

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
SHARE: Final = 3
"""How many imports of one caller: a person who checks one file while another is imported is not refused."""


class BackgroundImports:
    """Carries out imports whose files have arrived. If the process ends, they end as if it had died."""

    def __init__(self) -> None:
        self._limit = ConcurrencyLimit(AT_ONCE, AnalysisBusy, share=SHARE)

    def reserve(self, caller: str) -> Place:
        """Take a place for an import of a caller, before its file is received.

        Raises
        ------
        AnalysisBusy
            where so many imports are carried out already.
        """
        self._limit.take(caller)
        return Place(self._limit, caller)


class Place:
    """A place for one import; it is given back when that has ended, or by `give_back`."""

    def __init__(self, limit: ConcurrencyLimit, caller: str) -> None:
        self._limit = limit
        self._caller = caller

    def give_back(self) -> None:
        """Do without it after all."""
        self._limit.give_back(self._caller)

    def start(self, run: ImportRun) -> None:
        """Begin with the import; its record tells how far it is, and how it ended."""
        Thread(target=copy_context().run, args=[self._carry_out, run], daemon=True, name="background-import").start()

    def _carry_out(self, run: ImportRun) -> None:
        try:
            for _ in run.progress():
                pass
        except Exception:  # nobody else hears of it; the record says "an internal error"
            log.exception("an import failed unexpectedly")
        finally:
            self.give_back()
