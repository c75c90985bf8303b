"""Seeing to it that lists have their indexes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.services.ports import CustomerStore

log = logging.getLogger(__name__)


class SortIndexes:
    """A duty of the worker: a first load drops the indexes of lists, an older version of the service had none.

    Parameters
    ----------
    loading : whether somebody is loading customers without these indexes just now, and will build them.
    """

    def __init__(self, store: CustomerStore, loading: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._loading = loading

    def run_once(self, alive: Callable[[], None] = lambda: None) -> int:
        """Build those that are missing; return how many were.

        Raises
        ------
        StoreError
        """
        if self._loading():
            return 0
        built = self._store.build_sort_indexes(alive)
        if built:
            log.info("built %d indexes for lists of customers", built)
        return built
