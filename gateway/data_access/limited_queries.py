"""Queries that a client's filters and sort can make slow: the server stops them in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pymongo import timeout
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, OperationFailure

from gateway.data_access.customer_filters import Document, mongo_filter
from gateway.data_access.customer_pages import find_page
from gateway.data_access.mongo_faults import store_faults
from gateway.services.customer_query import ESTIMATE_LIMIT, CustomerQuery, Filters, Total
from gateway.services.errors import QueryTimeout

_BAD_VALUE = 2
_Customers = Collection[Document]


class LimitedQueries:
    """Finds and counts customers; the server stops each query after some `seconds`, which makes a `QueryTimeout`.

    Within ``timeoutMS`` the driver overwrites ``maxTimeMS`` with all the time that is left, and gives up when the
    server does: a slow query could not be told from a server that is gone. So that is off here (``timeout(0)``), and
    the socket has its own, longer limit (`stores.connect`).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._milliseconds = max(1, int(seconds * 1000))

    def find(self, customers: _Customers, query: CustomerQuery) -> list[Document]:
        """Return the documents of the customers that `query` asks for."""
        fields = None if query.fields is None else dict.fromkeys(query.fields, 1)
        with self._limit():
            return find_page(partial(self._run, customers, fields), query)

    def count(self, customers: _Customers, filters: Filters, exact: bool) -> Total:
        """Count the customers that all filters hold for; an estimate stops at `ESTIMATE_LIMIT` of them."""
        limits = {} if exact else {"limit": ESTIMATE_LIMIT}
        with self._limit():
            if not filters and not exact:
                return Total(customers.estimated_document_count(maxTimeMS=self._milliseconds), "estimated")
            options: dict[str, Any] = {"maxTimeMS": self._milliseconds, **limits}
            total = customers.count_documents(mongo_filter(filters), **options)
        return Total(total, "exact" if exact or total < ESTIMATE_LIMIT else "estimated")

    @contextmanager
    def _limit(self) -> Iterator[None]:
        with store_faults(), timeout(0):
            try:
                yield
            except ExecutionTimeout as error:
                raise QueryTimeout(self._seconds) from error

    def _run(
        self,
        customers: _Customers,
        fields: Document | None,
        query: Document,
        sort: list[tuple[str, int]],
        limit: int,
        hint: str | None,
    ) -> list[Document]:
        options: dict[str, Any] = {"sort": sort, "limit": limit, "batch_size": limit, "max_time_ms": self._milliseconds}
        try:
            return list(customers.find(query, fields, hint=hint, **options))
        except OperationFailure as error:
            if hint is None or error.code != _BAD_VALUE:
                raise
            return list(customers.find(query, fields, **options))  # a first load has dropped that index
