"""Deleting customers so that they can be restored for a while, and restoring them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Protocol, TypedDict

from gateway.services.customers.customer import (
    DeletedCustomer,
    StoredCustomer,
    deleted_customer,
    restored_customer,
    shown,
    waiting_entries,
    waiting_entries_of_earlier,
)
from gateway.services.customers.customers import Written
from gateway.services.customers.preconditions import ANY_STATE, Precondition
from gateway.services.customers.query import Filters
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import CustomerExists, CustomerNotDeleted, CustomerNotFound, MatchingDiffer
from gateway.services.events.change import Origin
from gateway.services.events.log import Outboxes
from gateway.services.pages import Page
from gateway.services.transactions import Transactions
from shared.features import CUST_ID
from shared.findings import findings


class DeletedCustomers(Protocol):
    """Copies of deleted customers, one for each CUST_ID, kept until they expire. Every method may raise `StoreError`.

    `keep` and `take` take part in transactions.
    """

    def keep(self, copies: Sequence[DeletedCustomer]) -> None:
        """Keep copies, each in the place of an older one of the same CUST_ID, whose outbox it continues."""

    def take(self, cust_ids: Sequence[str]) -> list[DeletedCustomer]:
        """Remove the copies of customers; return those that there were, with their outboxes, in no particular order."""

    def get(self, cust_id: str) -> DeletedCustomer | None:
        """Return the copy of a customer, without its outbox, or None."""

    def page(self, after: str | None, limit: int) -> list[DeletedCustomer]:
        """Return up to `limit` copies with CUST_ID greater than `after`, in CUST_ID order, without their outboxes."""


class BulkDeletion(TypedDict):
    """What became of a deletion of many: how many matched, how many of them were deleted, and how many match now.

    Where the time was up before all of them were deleted, or others have come meanwhile, some are ``remaining``.
    """

    dry_run: bool
    matching: int
    deleted: int
    remaining: int


DELETED_AT_ONCE = 200
"""Most customers that one transaction deletes; fewer where it meets others who write one of them."""
_FURTHER = 500
"""How many copies are read at once in search of customers who are not stored again: after a mirror, many may be."""


class DeletionService:
    """Deletes customers and restores them.

    Parameters
    ----------
    retention : how long a deleted customer can be restored; zero: not at all.
    require_revision : whether deleting a single customer needs its revision in the precondition.
    seconds : after which a deletion of many begins with no further ones.
    """

    def __init__(
        self,
        customers: CustomerStore,
        deleted: DeletedCustomers,
        outboxes: Outboxes,
        transactions: Transactions,
        retention: timedelta,
        origin: Callable[[], Origin],
        *,
        require_revision: bool = False,
        seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._customers = customers
        self._deleted = deleted
        self._outboxes = outboxes
        self._transactions = transactions
        self._origin = origin
        self._retention = retention
        self._require_revision = require_revision
        self._seconds = seconds
        self._clock = clock

    @property
    def retention(self) -> timedelta:
        """How long a deleted customer can be restored; zero: not at all."""
        return self._retention

    def delete(self, cust_id: str, expected: Precondition = ANY_STATE) -> None:
        """Delete a customer; within the retention time it can be restored.

        Raises
        ------
        CustomerNotFound, StaleRevision, CustomerNotNew, RevisionRequired
        """
        self._transactions.run(lambda: self._delete(cust_id, expected))

    def _delete(self, cust_id: str, expected: Precondition) -> None:
        customer = self._customers.delete(cust_id)
        if customer is None:
            raise CustomerNotFound(cust_id)
        expected.check(cust_id, customer, require_revision=self._require_revision)
        self._keep([customer], self._origin())

    def _keep(self, customers: Sequence[StoredCustomer], origin: Origin) -> None:
        """Keep what can be restored of customers that are being deleted, or at least their waiting entries."""
        copies = [deleted_customer(customer, self._retention, origin) for customer in customers]
        if self._retention:
            self._deleted.keep(copies)
        else:  # nor what was kept of earlier customers of these ids
            earlier = self._deleted.take([copy[CUST_ID] for copy in copies])
            self._outboxes.add([entry for copy in (*earlier, *copies) for entry in waiting_entries(copy)])

    def count_matching(self, filters: Filters) -> BulkDeletion:
        """Return how many customers `delete_matching` would delete.

        Raises
        ------
        QueryTimeout
        """
        matching = self._customers.count(filters, exact=True).total
        return BulkDeletion(dry_run=True, matching=matching, deleted=0, remaining=matching)

    def delete_matching(self, filters: Filters, confirmed: int) -> BulkDeletion:
        """Delete the customers that all filters hold for; each can be restored as if it were deleted alone.

        They are deleted some at a time, each part in a transaction. What broke off, or took too long,
        goes on with another call, which has to confirm how many are left.

        Parameters
        ----------
        confirmed : how many the caller expects to match; never are more deleted.

        Raises
        ------
        MatchingDiffer
            where other than `confirmed` customers match: none is deleted.
        QueryTimeout, StoreError
            some may have been deleted then.
        """
        ends_at, origin = self._clock() + self._seconds, self._origin()
        matching = self._customers.count(filters, exact=True).total
        if matching != confirmed:
            raise MatchingDiffer(confirmed, matching)
        deleted = 0
        for rows in self._customers.rows(filters, (CUST_ID,), DELETED_AT_ONCE):
            some = [row[0] for row in rows][: confirmed - deleted]
            if not some or self._clock() >= ends_at:
                break
            deleted += self._delete_all(some, filters, origin, ends_at)
        remaining = self._customers.count(filters, exact=True).total
        return BulkDeletion(dry_run=False, matching=matching, deleted=deleted, remaining=remaining)

    def delete_listed(
        self, cust_ids: Sequence[str], filters: Filters = (), origin: Origin | None = None, *, limited: bool = True
    ) -> int:
        """Delete those of the customers that are stored and that all filters hold for; return how many those were.

        Some at a time, each part in a transaction; each can be restored as if it were deleted alone.

        Parameters
        ----------
        origin : where the change comes from; None: from who calls now.
        limited : whether to begin with no further ones when the time is up.

        Raises
        ------
        StoreError
            some may have been deleted then.
        """
        ends_at = self._clock() + self._seconds if limited else math.inf
        parts = [cust_ids[first : first + DELETED_AT_ONCE] for first in range(0, len(cust_ids), DELETED_AT_ONCE)]
        return sum(self._delete_all(part, filters, origin or self._origin(), ends_at) for part in parts)

    def _delete_all(self, cust_ids: Sequence[str], filters: Filters, origin: Origin, ends_at: float) -> int:
        """Delete the customers that the filters hold for, until the time is up; return how many those were."""
        deleted, at_once = 0, len(cust_ids)
        while cust_ids and self._clock() < ends_at:
            # A transaction that meets somebody who writes one of them is begun again, with half of them. One alone
            # gets through: it takes no longer than the write that it met.
            sizes = (max(1, at_once >> tries) for tries in count())
            tried, number = self._transactions.run(partial(self._delete_first, sizes, cust_ids, filters, origin))
            deleted, at_once, cust_ids = deleted + number, 2 * tried, cust_ids[tried:]
        return deleted

    def _delete_first(
        self, sizes: Iterator[int], cust_ids: Sequence[str], filters: Filters, origin: Origin
    ) -> tuple[int, int]:
        """Delete so many of the first of the customers as the filters hold for; return how many were tried, and did."""
        some = cust_ids[: next(sizes)]
        customers = self._customers.delete_many(some, filters)
        if customers:
            self._keep(customers, origin)
        return len(some), len(customers)

    def get(self, cust_id: str) -> DeletedCustomer:
        """Return a deleted customer.

        Raises
        ------
        CustomerNotDeleted
        """
        copy = self._deleted.get(cust_id)
        if copy is None or self._customers.get(cust_id):
            raise CustomerNotDeleted(cust_id)
        return shown(copy)

    def page(self, after: str | None, limit: int) -> Page[DeletedCustomer, str]:
        """Return up to `limit` deleted customers whose CUST_ID follows `after`, in CUST_ID order."""
        items: list[DeletedCustomer] = []
        block = limit + 1
        while len(items) <= limit:
            copies = self._deleted.page(after, block)
            stored = self._customers.get_many([copy[CUST_ID] for copy in copies]) if copies else {}
            items += [shown(copy) for copy in copies if copy[CUST_ID] not in stored]
            if len(copies) < block:
                break
            after, block = copies[-1][CUST_ID], _FURTHER
        return Page.of(items, limit, lambda copy: str(copy[CUST_ID]))

    def restore(self, cust_id: str, first_tried_at: datetime | None = None) -> Written:
        """Bring a deleted customer back as it was, as a new revision.

        Its segment comes back too; where another model is active by now, the worker renews it.

        Parameters
        ----------
        first_tried_at : when the same was tried first, where that broke off. A customer that has been written since
            is taken for what it brought back.

        Raises
        ------
        CustomerNotDeleted, CustomerExists
        InvalidInput
            where it was deleted before a feature existed that every customer must have.
        """
        try:
            return self._transactions.run(lambda: self._restore(cust_id))
        except CustomerExists:
            stored = self._customers.get(cust_id) if first_tried_at else None
            if not (first_tried_at and stored and stored["updated_at"] >= first_tried_at):
                raise
            return Written(shown(stored), False, findings(stored, stored))

    def _restore(self, cust_id: str) -> Written:
        copies = self._deleted.take([cust_id])
        if not copies:
            raise CustomerExists(cust_id) if self._customers.get(cust_id) else CustomerNotDeleted(cust_id)
        customer = restored_customer(copies[0], self._origin())
        self._customers.insert(customer)
        if earlier := waiting_entries_of_earlier(copies[0]):
            self._outboxes.add(earlier)
        return Written(shown(customer), False, findings(customer, customer))
