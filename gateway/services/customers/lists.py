"""Lists of customers, a page at a time; those that would look through many customers for a page are refused.

What has no index is fast all the same where few customers are stored, or an indexed condition leaves few. Both are
decided by cheap looks (the store's own books, a count that stops), and only for queries that need them. A walk that has
begun goes on, whatever the counts have become meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.services.customers.customer import CustomerPart
from gateway.services.customers.query import (
    ESTIMATE_LIMIT,
    FIELDS,
    INDEXED,
    Condition,
    CustomerQuery,
    Exactness,
    Filters,
    Op,
    Position,
    Total,
    parts_by_index,
    position_of,
    without_index,
)
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import QueryNotIndexed
from gateway.services.pages import Page
from shared.features import CUST_ID
from shared.problems import FieldError

SMALL_BASE = 20_000
"""So many stored customers are looked through in some 50 ms, whatever is asked for."""


class CustomerLists:
    """Filtered and sorted lists of all stored customers."""

    def __init__(self, store: CustomerStore) -> None:
        self._store = store

    def page(
        self, query: CustomerQuery, count: Exactness | None = None
    ) -> tuple[Page[CustomerPart, Position], Total | None]:
        """Return the page that follows ``query.after``, and the total of the whole list where `count` asks for it.

        It has up to ``query.limit`` customers with ``query.fields``. A customer that keeps its values while others
        are written comes exactly once on the pages of a walk; one whose value of a sort key or of a filtered field
        changes meanwhile may come twice or not at all. A page without an end is the last one of that moment.

        Raises
        ------
        QueryNotIndexed
            for a first page that would take too long.
        QueryTimeout
        """
        if query.after is None:
            self._check(query)
        found = self._store.find(replace(query, limit=query.limit + 1, fields=_needed(query)))
        items = found[: query.limit]
        end = position_of(items[-1], query.order) if len(found) > query.limit else None
        total = self._total(query, len(found), count) if count else None
        return Page([_shown(item, query.fields) for item in items] if query.fields else items, end), total

    def is_counted_fast(self, filters: Filters) -> bool:
        """Whether it is quick to estimate how many customers match: one index knows, or leaves few to look through."""
        if not filters or any(len(part) == len(filters) for part in parts_by_index(filters)):
            return True
        return self._store.count((), exact=False).total <= SMALL_BASE or self._leaves_few(filters)

    def _check(self, query: CustomerQuery) -> None:
        conditions, keys = without_index(query.filters, query.order)
        if not conditions and not keys:
            return
        if self._store.count((), exact=False).total <= SMALL_BASE:
            return
        if self._leaves_few(query.filters):
            return
        faults = [FieldError(pointer=f"?{_written(c)}", detail=f"{c.field} has no index") for c in conditions]
        faults += [FieldError(pointer="?sort", detail=f"{key.field} has no index") for key in keys]
        raise QueryNotIndexed(faults, INDEXED, ESTIMATE_LIMIT)

    def _leaves_few(self, filters: Filters) -> bool:
        """Whether there is an index in which fewer than `ESTIMATE_LIMIT` customers match what it knows."""
        return any(self._store.count(part, exact=False).kind == "exact" for part in parts_by_index(filters))

    def _total(self, query: CustomerQuery, found: int, count: Exactness) -> Total:
        if query.after is None and found <= query.limit:
            return Total(found, "exact")  # the first page has them all
        return self._store.count(query.filters, count == "exact")


def _needed(query: CustomerQuery) -> tuple[str, ...] | None:
    """Return what to read: the members that are wanted and those that say where the page ends."""
    if query.fields is None:
        return None
    return tuple({*query.fields, *(FIELDS[key.field].path[0] for key in query.order)})


def _written(condition: Condition) -> str:
    return condition.field if condition.op == Op.EQ else f"{condition.field}[{condition.op}]"


def _shown(customer: CustomerPart, fields: tuple[str, ...]) -> CustomerPart:
    return {name: value for name, value in customer.items() if name == CUST_ID or name in fields}
