"""The `CustomerStore` port in memory; `store_contract` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from threading import RLock

from gateway.services.assignment import ASSIGNED, PENDING
from gateway.services.errors import CustomerExists, StoreError
from gateway.services.ports import Assignment, Block, Customer, SegmentCounts
from shared.features import CUST_ID


class InMemoryCustomerStore:
    """Customers in a dict. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.customers: dict[str, Customer] = {}
        self.failure: StoreError | None = None
        self._lock = RLock()

    def get(self, cust_id: str) -> Customer | None:
        self._use()
        return deepcopy(self.customers.get(cust_id))

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        self._use()
        return {i: deepcopy(self.customers[i]) for i in cust_ids if i in self.customers}

    def page(self, after: str | None, limit: int) -> list[Customer]:
        self._use()
        return [deepcopy(c) for i, c in sorted(self.customers.items()) if after is None or i > after][:limit]

    def stream(self, features: Sequence[str], rows: int) -> Iterator[Block]:
        after = None
        while page := self.page(after, rows):
            yield Block([c[CUST_ID] for c in page], {name: [c.get(name) for c in page] for name in features})
            after = page[-1][CUST_ID]

    def insert(self, customer: Customer) -> None:
        self._use()
        with self._lock:
            if customer[CUST_ID] in self.customers:
                raise CustomerExists(customer[CUST_ID])
            self.customers[customer[CUST_ID]] = deepcopy(customer)

    def replace(self, customer: Customer, expected_revision: str) -> bool:
        self._use()
        with self._lock:
            if not self._has(customer[CUST_ID], expected_revision):
                return False
            self.customers[customer[CUST_ID]] = deepcopy(customer)
            return True

    def delete(self, cust_id: str, expected_revision: str | None) -> bool:
        self._use()
        with self._lock:
            if expected_revision is not None and not self._has(cust_id, expected_revision):
                return False
            return self.customers.pop(cust_id, None) is not None

    def insert_many(self, customers: Sequence[Customer]) -> set[str]:
        taken = set()
        for customer in customers:
            try:
                self.insert(customer)
            except CustomerExists:
                taken.add(customer[CUST_ID])
        return taken

    def replace_many(self, customers: Sequence[tuple[Customer, str]]) -> set[str]:
        return {c[CUST_ID] for c, revision in customers if not self.replace(c, revision)}

    def due(self, model_version: str, after: str | None, limit: int) -> list[Customer]:
        return [c for c in self.page(after, len(self.customers)) if _is_due(c, model_version)][:limit]

    def assign_many(self, assignments: Sequence[tuple[str, str, Assignment, str]]) -> int:
        self._use()
        matched = 0
        for cust_id, expected, assignment, revision in assignments:
            with self._lock:
                if self._has(cust_id, expected):
                    assigned = {"segment": deepcopy(assignment), "segment_status": ASSIGNED, "revision": revision}
                    self.customers[cust_id] |= assigned
                    matched += 1
        return matched

    def segment_counts(self) -> SegmentCounts:
        self._use()
        ids = [c["segment"] and c["segment"]["id"] for c in self.customers.values()]
        return SegmentCounts(by_segment={i: ids.count(i) for i in set(ids) - {None}}, pending=ids.count(None))

    def ping(self) -> None:
        self._use()

    def _use(self) -> None:
        if self.failure:
            raise self.failure

    def _has(self, cust_id: str, revision: str) -> bool:
        return cust_id in self.customers and self.customers[cust_id]["revision"] == revision


def _is_due(customer: Customer, model_version: str) -> bool:
    segment = customer["segment"]
    return customer["segment_status"] == PENDING or segment is None or segment["model_version"] != model_version
