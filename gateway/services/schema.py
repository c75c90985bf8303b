"""What the database needs beside its documents: asked for by health checks, brought up to date by the worker alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Schema(Protocol):
    """The validators and indexes of the database. Every method may raise `StoreError` or `StoreUnavailable`.

    Stores do without them: their answers are the same, only slower, and what should expire stays.
    """

    def missing(self) -> list[str]:
        """Return what is missing or out of date, such as ``customers.segment_by_BALANCE``."""

    def bring_up_to_date(self, *, put_off: bool = False) -> int:
        """Make what is missing, however long it takes; return how many things that were.

        Others may read and write meanwhile. Harmless when nothing is missing, or when somebody else makes the same.

        Parameters
        ----------
        put_off : leave out what only filtered and sorted lists need: a first load wants it gone until it has ended.
        """


class SchemaUpkeep:
    """Brings the schema up to date: new databases have none, newer versions want more, first loads drop indexes.

    One of the worker's duties (`gateway.worker.Duty`), beside the others: an index can take many minutes.

    Parameters
    ----------
    loading : whether a first load is running.
    """

    def __init__(self, schema: Schema, loading: Callable[[], bool]) -> None:
        self._schema = schema
        self._loading = loading

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:
        """Make what is missing; return how many things that were.

        Raises
        ------
        StoreError
        """
        heartbeat()
        made = self._schema.bring_up_to_date(put_off=self._loading())
        if made:
            log.info("brought the schema of the database up to date: %d changes", made)
        return made
