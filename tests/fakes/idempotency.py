"""The `IdempotencyStore` port in memory; `contracts.idempotency` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from threading import Lock

from gateway.services.access.idempotency import Claim, KeyRecord, StoredResponse
from gateway.services.errors import StoreError


class InMemoryIdempotencyStore:
    """Records in a dict. Set `failure` to make every call raise it."""

    name = "idempotency"

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.customers: dict[str, set[str]] = {}
        self.erased: set[str] = set()
        self.failure: StoreError | None = None
        self._lock = Lock()

    def claim(self, claim: Claim) -> KeyRecord:
        self._use()
        with self._lock:
            old = self.records.get(claim.key)
            if old is None:
                new = KeyRecord(claim.fingerprint, claim.attempt, 1, claim.at, claim.lock_until, None)
                self.customers[claim.key] = set(claim.customers)
            elif (
                claim.takes_over
                and old.answer is None
                and old.fingerprint == claim.fingerprint
                and old.lock_until <= claim.at
            ):
                new = replace(old, attempt=claim.attempt, attempts=old.attempts + 1, lock_until=claim.lock_until)
            else:
                return old
            self.records[claim.key] = new
            return new

    def finish(self, key: str, attempt: str, answer: StoredResponse) -> None:
        self._use()
        if (record := self._held(key, attempt)) and record.answer is None:
            kept = StoredResponse(answer.status, {}, None) if key in self.erased else answer
            self.records[key] = replace(record, answer=kept)

    def break_off(self, key: str, attempt: str, at: datetime) -> None:
        self._use()
        if record := self._held(key, attempt):
            self.records[key] = replace(record, lock_until=at)

    def release(self, key: str, attempt: str) -> None:
        self._use()
        if self._held(key, attempt):
            del self.records[key]

    def erase(self, cust_id: str) -> int:
        self._use()
        keys = [key for key, customers in self.customers.items() if cust_id in customers and key in self.records]
        emptied = 0
        for key in keys:
            self.customers[key] = set()
            if answer := self.records[key].answer:
                self.records[key] = replace(self.records[key], answer=StoredResponse(answer.status, {}, None))
                emptied += 1
            else:
                self.erased.add(key)
        return emptied

    def _held(self, key: str, attempt: str) -> KeyRecord | None:
        record = self.records.get(key)
        return record if record and record.attempt == attempt else None

    def _use(self) -> None:
        if self.failure:
            raise self.failure
