"""Deleted customers, erasures and transactions in memory; `contracts.deletions` proves that they behave as those on
MongoDB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from threading import RLock
from typing import Any, TypeVar, cast

from gateway.services.customers.customer import DeletedCustomer
from gateway.services.customers.erasures import Erasure
from gateway.services.errors import StoreError
from shared.features import CUST_ID

Result = TypeVar("Result")


class InMemoryTransactions:
    """Transactions over fakes: what an error leaves is as it was before.

    Parameters
    ----------
    states : returns the dicts in which the fakes keep things.

    Attributes
    ----------
    conflicts : how many of the next attempts find that others were faster, and are made again.
    failure : raised in the place of a commit while it is set.
    """

    def __init__(self, states: Callable[[], Sequence[dict[Any, Any]]] = lambda: ()) -> None:
        self._states = states
        self._lock = RLock()
        self.conflicts = 0
        self.failure: StoreError | None = None

    def run(self, work: Callable[[], Result]) -> Result:
        with self._lock:
            while True:
                before = [(state, deepcopy(state)) for state in self._states()]
                try:
                    result = work()
                    if self.failure:
                        raise self.failure
                except BaseException:
                    _put_back(before)
                    raise
                if not self.conflicts:
                    return result
                self.conflicts -= 1
                _put_back(before)


def _put_back(before: Sequence[tuple[dict[Any, Any], dict[Any, Any]]]) -> None:
    for state, kept in before:
        state.clear()
        state.update(kept)


class InMemoryDeletedCustomers:
    """Copies in a dict, by CUST_ID. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.copies: dict[str, DeletedCustomer] = {}
        self.failure: StoreError | None = None

    def keep(self, copies: Sequence[DeletedCustomer]) -> None:
        self._use()
        for copy in copies:
            earlier = self.copies.get(copy[CUST_ID], {}).get("outbox", [])
            self.copies[copy[CUST_ID]] = deepcopy({**copy, "outbox": [*earlier, *copy.get("outbox", [])]})

    def take(self, cust_ids: Sequence[str]) -> list[DeletedCustomer]:
        self._use()
        return [self.copies.pop(cust_id) for cust_id in cust_ids if cust_id in self.copies]

    def get(self, cust_id: str) -> DeletedCustomer | None:
        self._use()
        return _read(self.copies[cust_id]) if cust_id in self.copies else None

    def page(self, after: str | None, limit: int) -> list[DeletedCustomer]:
        self._use()
        ids = [cust_id for cust_id in sorted(self.copies) if after is None or cust_id > after]
        return [_read(self.copies[cust_id]) for cust_id in ids[:limit]]

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def _read(copy: DeletedCustomer) -> DeletedCustomer:
    return cast(DeletedCustomer, deepcopy({name: value for name, value in copy.items() if name != "outbox"}))


class InMemoryErasureRecords:
    """Erasures in a dict. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.erasures: dict[str, Erasure] = {}
        self.failure: StoreError | None = None

    def add(self, erasure: Erasure) -> None:
        self._use()
        self.erasures[erasure.id] = erasure

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

    def page(self, after: str | None, limit: int) -> list[Erasure]:
        self._use()
        return [e for e in sorted(self.erasures.values(), key=lambda e: e.id) if after is None or e.id > after][:limit]

    def unfinished(self, requested_until: datetime, after: str | None, limit: int) -> list[Erasure]:
        self._use()
        found = [e for e in self.erasures.values() if e.cust_id is not None and e.requested_at <= requested_until]
        return [e for e in sorted(found, key=lambda e: e.id) if after is None or e.id > after][:limit]

    def _use(self) -> None:
        if self.failure:
            raise self.failure
