"""Deleted customers and erasures in memory; `contracts.deletions` proves that they behave as those on MongoDB."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from threading import RLock

from gateway.services.customers.customer import Customer
from gateway.services.customers.erasures import Erasure
from gateway.services.errors import StoreError
from shared.features import CUST_ID


class InMemoryDeletedCustomers:
    """Copies in a dict, by deletion. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.copies: dict[str, Customer] = {}
        self.counts_from: dict[str, datetime] = {}
        self.claims: dict[str, str] = {}
        self.failure: StoreError | None = None
        self._lock = RLock()

    def keep(self, deletion: str, copy: Customer, counts_from: datetime) -> None:
        self._use()
        with self._lock:
            self.copies[deletion] = deepcopy(copy)
            self.counts_from[deletion] = counts_from

    def confirm(self, deletion: str) -> None:
        self._use()
        self.counts_from.pop(deletion, None)

    def forget(self, deletion: str) -> None:
        self._use()
        with self._lock:
            self.copies.pop(deletion, None)

    def claim(self, cust_id: str, claim: str, at: datetime, until: datetime) -> Customer | None:
        self._use()
        with self._lock:
            deletion = self._latest(at).get(cust_id)
            if deletion is None:
                return None
            self.counts_from[deletion], self.claims[deletion] = until, claim
            return deepcopy(self.copies[deletion])

    def release(self, cust_id: str, claim: str) -> None:
        self._use()
        for deletion in [d for d, held in self.claims.items() if held == claim]:
            self.confirm(deletion)
            del self.claims[deletion]

    def finish(self, cust_id: str, claim: str) -> bool:
        self._use()
        with self._lock:
            held = [d for d, by in self.claims.items() if by == claim and d in self.copies]
            for deletion in held:
                del self.copies[deletion]
        return bool(held)

    def forget_until(self, cust_id: str, updated_at: datetime) -> int:
        return self._remove(cust_id, "updated_at", updated_at)

    def erase(self, cust_id: str, created_until: datetime) -> int:
        return self._remove(cust_id, "created_at", created_until)

    def latest(self, cust_id: str, at: datetime) -> Customer | None:
        found = self.page(None, len(self.copies), at)
        return next((copy for copy in found if copy[CUST_ID] == cust_id), None)

    def page(self, after: str | None, limit: int, at: datetime) -> list[Customer]:
        self._use()
        with self._lock:
            latest = [deepcopy(self.copies[deletion]) for _, deletion in sorted(self._latest(at).items())]
        return [copy for copy in latest if after is None or copy[CUST_ID] > after][:limit]

    def _latest(self, at: datetime) -> dict[str, str]:
        """Return the deletion whose copy counts, by CUST_ID."""
        counting = [d for d in self.copies if d not in self.counts_from or self.counts_from[d] <= at]
        counting.sort(key=lambda d: (self.copies[d]["updated_at"], self.copies[d]["deleted_at"]))
        return {self.copies[deletion][CUST_ID]: deletion for deletion in counting}

    def _remove(self, cust_id: str, field: str, until: datetime) -> int:
        self._use()
        with self._lock:
            gone = [d for d, c in self.copies.items() if c[CUST_ID] == cust_id and c[field] <= until]
            for deletion in gone:
                del self.copies[deletion]
        return len(gone)

    def _use(self) -> None:
        if self.failure:
            raise self.failure


class InMemoryErasureRecords:
    """Erasures in a dict. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.erasures: dict[str, Erasure] = {}
        self.failure: StoreError | None = None

    def add(self, erasure: Erasure) -> None:
        self._use()
        self.erasures[erasure.id] = erasure

    def withdraw(self, erasure_id: str) -> None:
        self._use()
        self.erasures.pop(erasure_id, None)

    def note(self, erasure_id: str, place: str, entries: int) -> None:
        self._use()
        old = self.erasures[erasure_id]
        erased = {**old.erased, place: old.erased.get(place, 0) + entries}
        self.erasures[erasure_id] = replace(old, erased=erased)

    def complete(self, erasure_id: str, at: datetime) -> None:
        self._use()
        self.erasures[erasure_id] = replace(self.erasures[erasure_id], completed_at=at, cust_id=None)

    def get(self, erasure_id: str) -> Erasure | None:
        self._use()
        return self.erasures.get(erasure_id)

    def of(self, digest: str, limit: int) -> list[Erasure]:
        self._use()
        found = [erasure for erasure in self.erasures.values() if erasure.digest == digest]
        return sorted(found, key=lambda erasure: erasure.requested_at, reverse=True)[:limit]

    def unfinished(self, requested_until: datetime, after: str | None, limit: int) -> list[Erasure]:
        self._use()
        found = [e for e in self.erasures.values() if e.cust_id is not None and e.requested_at <= requested_until]
        return [e for e in sorted(found, key=lambda e: e.id) if after is None or e.id > after][:limit]

    def _use(self) -> None:
        if self.failure:
            raise self.failure
