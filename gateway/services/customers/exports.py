"""Reading many customers out, in constant memory and at the pace of whoever takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.services.customers.query import Filters
from gateway.services.customers.store import CustomerStore, Row

BLOCK_ROWS = 2_000
"""Customers in memory at a time, and as many again on their way; larger blocks are no faster."""


class ExportService:
    """Hands out stored customers in blocks."""

    def __init__(self, store: CustomerStore, rows: int = BLOCK_ROWS) -> None:
        self._store = store
        self._rows = rows

    def customers(self, filters: Filters, paths: Sequence[str]) -> Iterator[Sequence[Row]]:
        """Return the values at `paths` (`CustomerStore.rows`) of the customers that all filters hold for, by CUST_ID.

        A customer that is there throughout comes exactly once.

        Raises
        ------
        StoreError
            at once if the database cannot be read now; from the iterator if it fails later.
        """
        blocks = self._store.rows(filters, paths, self._rows)
        return _ahead(next(blocks, []), blocks)


def _ahead(block: Sequence[Row], following: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    """Yield `block` and the following ones; the database works on the next while the caller has one."""

    def read() -> Sequence[Row]:
        return next(following, [])

    with ThreadPoolExecutor(1, "export") as reader:
        while block:
            coming = reader.submit(read)
            yield block
            block = coming.result()
