"""The `CustomerStore` port in memory; `contracts.customers` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from threading import RLock
from typing import Any, cast

from gateway.services.customers.customer import PENDING, Customer, CustomerPart, StoredCustomer, Update
from gateway.services.customers.query import (
    ESTIMATE_LIMIT,
    FIELDS,
    Condition,
    CustomerQuery,
    FieldKind,
    Filters,
    Op,
    Order,
    Position,
    Total,
    position_of,
    value_of,
)
from gateway.services.customers.store import Block, Row, SegmentCounts
from gateway.services.errors import CustomerExists, StoreError
from shared.contract import BORDERLINE
from shared.features import CUST_ID, lacking


class InMemoryCustomerStore:
    """Customers in a dict. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.customers: dict[str, StoredCustomer] = {}
        self.failure: StoreError | None = None
        self.sort_indexes = True
        self._lock = RLock()

    def get(self, cust_id: str) -> StoredCustomer | None:
        self._use()
        return _read(self.customers[cust_id]) if cust_id in self.customers else None

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, StoredCustomer]:
        self._use()
        return {i: _read(self.customers[i]) for i in cust_ids if i in self.customers}

    def find(self, query: CustomerQuery) -> list[CustomerPart]:
        self._use()
        with self._lock:
            found = [c for c in self.customers.values() if all(holds(each, c) for each in query.filters)]
        for key in reversed(query.order):
            found.sort(key=lambda c, field=key.field: _rank(value_of(c, field)), reverse=key.descending)
        if query.after is not None:
            found = [c for c in found if _follows(position_of(c, query.order), query.after, query.order)]
        return [_part(c, query.fields) for c in found[: query.limit]]

    def count(self, filters: Filters, exact: bool) -> Total:
        self._use()
        total = sum(all(holds(each, c) for each in filters) for c in self.customers.values())
        if exact or (filters and total < ESTIMATE_LIMIT):
            return Total(total, "exact")
        return Total(min(total, ESTIMATE_LIMIT) if filters else total, "estimated")

    def stream(self, features: Sequence[str], rows: int) -> Iterator[Block]:
        after = None
        while page := self._block_after(after, (), rows):
            yield Block([c[CUST_ID] for c in page], {name: [c.get(name) for c in page] for name in features})
            after = page[-1][CUST_ID]

    def rows(self, filters: Filters, paths: Sequence[str], size: int) -> Iterator[list[Row]]:
        after = None
        while page := self._block_after(after, filters, size):
            yield [row_of(customer, paths) for customer in page]
            after = page[-1][CUST_ID]

    def insert(self, customer: StoredCustomer) -> None:
        self._use()
        with self._lock:
            if customer[CUST_ID] in self.customers:
                raise CustomerExists(customer[CUST_ID])
            self.customers[customer[CUST_ID]] = deepcopy(customer)

    def update(self, update: Update) -> bool:
        self._use()
        with self._lock:
            stored = self.customers.get(update.old["CUST_ID"])
            if stored is None or stored["revision"] != update.old["revision"]:
                return False
            written: dict[str, Any] = {**stored, **deepcopy(dict(update.members))}
            if update.entry is not None:
                written["outbox"] = [*written.get("outbox", ()), deepcopy(update.entry)]
            kept = {name: value for name, value in written.items() if name not in update.dropped}
            self.customers[update.old["CUST_ID"]] = cast(StoredCustomer, kept)
            return True

    def delete(self, cust_id: str) -> StoredCustomer | None:
        self._use()
        return self.customers.pop(cust_id, None)

    def delete_many(self, cust_ids: Sequence[str], filters: Filters) -> list[StoredCustomer]:
        self._use()
        found = [c for i in cust_ids if (c := self.customers.get(i)) and all(holds(each, c) for each in filters)]
        return [self.customers.pop(customer[CUST_ID]) for customer in found]

    def insert_many(self, customers: Sequence[StoredCustomer]) -> set[str]:
        taken = set()
        for customer in customers:
            try:
                self.insert(customer)
            except CustomerExists:
                taken.add(customer[CUST_ID])
        return taken

    def update_many(self, updates: Sequence[Update]) -> set[str]:
        return {update.old["CUST_ID"] for update in updates if not self.update(update)}

    def due(
        self, model_version: str, after: str | None, limit: int, having: Sequence[str] = ()
    ) -> list[StoredCustomer]:
        self._use()
        due = [
            c for i, c in sorted(self.customers.items()) if (after is None or i > after) and _is_due(c, model_version)
        ]
        return [_read(c) for c in due if not lacking(c, having)][:limit]

    def lacked_by_due(self, model_version: str, features: Sequence[str]) -> list[str]:
        gaps = [lacking(c, features) for c in self.due(model_version, None, len(self.customers))]
        return next(filter(None, gaps), [])

    def somewhere(self) -> str | None:
        self._use()
        return None  # where a worker begins decides how it cuts its batches: tests count them

    def segment_counts(self) -> SegmentCounts:
        self._use()
        segments = [c["segment"] for c in self.customers.values() if c["segment"]]
        return SegmentCounts(
            by_segment=Counter(segment["id"] for segment in segments),
            by_version=Counter(segment["model_version"] for segment in segments),
            pending=len(self.customers) - len(segments),
        )

    def drop_sort_indexes(self) -> None:
        self._use()
        self.sort_indexes = False

    def ping(self) -> None:
        self._use()

    def _block_after(self, after: str | None, filters: Filters, size: int) -> list[Customer]:
        return self.find(CustomerQuery(filters, after=None if after is None else (after,), limit=size))

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def holds(condition: Condition, customer: Customer) -> bool:
    """Whether a condition holds for a customer."""
    value, wanted = value_of(customer, condition.field), condition.value
    if FIELDS[condition.field].kind == FieldKind.FLAG:
        value = None if value is None else value < BORDERLINE
    return _COMPARE[condition.op](value, wanted)


_COMPARE: dict[Op, Callable[[Any, Any], bool]] = {
    Op.EQ: lambda value, wanted: value == wanted,
    Op.NE: lambda value, wanted: value != wanted,
    Op.GT: lambda value, wanted: value is not None and value > wanted,
    Op.GTE: lambda value, wanted: value is not None and value >= wanted,
    Op.LT: lambda value, wanted: value is not None and value < wanted,
    Op.LTE: lambda value, wanted: value is not None and value <= wanted,
    Op.IN: lambda value, wanted: value in wanted,
    Op.EXISTS: lambda value, wanted: (value is not None) == wanted,
    Op.PREFIX: lambda value, wanted: value.startswith(wanted),
}


def _rank(value: Any) -> tuple[bool, Any]:
    return value is not None, value


def _follows(place: Position, after: Position, order: Order) -> bool:
    for key, mine, other in zip(order, place, after, strict=True):
        if mine != other:
            return (_rank(mine) > _rank(other)) != key.descending
    return False


def _read(customer: StoredCustomer) -> StoredCustomer:
    return cast(StoredCustomer, deepcopy({name: value for name, value in customer.items() if name != "outbox"}))


def _part(customer: Customer, fields: Sequence[str] | None) -> Customer:
    wanted = (*customer,) if fields is None else (CUST_ID, *fields)
    return deepcopy({n: v for n, v in customer.items() if n in wanted and n not in ("due", "outbox")})


def row_of(customer: Customer, paths: Sequence[str]) -> Row:
    """Return what `CustomerStore.rows` yields of the customer."""
    return [deepcopy(_value_at(customer, path.split("."))) for path in paths]


def _value_at(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = (value or {}).get(part)
    return value


def _is_due(customer: Customer, model_version: str) -> bool:
    segment = customer["segment"]
    return customer["segment_status"] == PENDING or segment is None or segment["model_version"] != model_version
