"""First loads: a file that brings far more customers than are stored goes in without the indexes that lists need.

Keeping them up to date makes such a load several times as slow; the worker builds them again when it has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.services.customers.store import CustomerStore
from gateway.services.errors import StoreError

log = logging.getLogger(__name__)

_LARGE = 4 * 1024 * 1024
"""Bytes of a file from which keeping the indexes up to date takes longer than to build them anew."""
_BYTES_A_ROW = 100
_FEW = 20_000
"""Customers of whom a list takes some hundredths of a second without an index."""


def is_first_load(store: CustomerStore, size: int) -> bool:
    """Whether a file of so many bytes brings far more customers than there are.

    These must be so few that lists of them need no index: the size is only what the sender says.
    """
    if size < _LARGE:
        return False
    stored = store.count((), exact=False).total
    return stored <= _FEW and stored * _BYTES_A_ROW * 10 < size


def drop_sort_indexes(store: CustomerStore) -> None:
    """Drop the indexes that only lists need, if that is possible just now."""
    try:
        store.drop_sort_indexes()
    except StoreError as error:  # the import will tell whether the database is there
        log.warning("the import will be slow, as the indexes of lists could not be dropped: %s", error)


class SortIndexes:
    """Builds the indexes that lists need: a first load drops them, and older versions of the service had none.

    One of the worker's duties (`gateway.worker.Duty`).

    Parameters
    ----------
    loading : whether a first load is running, which will want them gone until it has ended.
    """

    def __init__(self, store: CustomerStore, loading: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._loading = loading

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:
        """Build those that are missing; return how many were.

        Raises
        ------
        StoreError
        """
        if self._loading():
            return 0
        built = self._store.build_sort_indexes(heartbeat)
        if built:
            log.info("built %d indexes for lists of customers", built)
        return built
