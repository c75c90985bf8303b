"""Deleting customers so that they can be restored for a while, and restoring them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from gateway.services.audit import Auditor, Change
from gateway.services.clock import now
from gateway.services.customers.customer import Customer, DeletedCustomer, deleted_customer, restored_customer
from gateway.services.customers.customers import Written
from gateway.services.customers.preconditions import ANY_STATE, Precondition
from gateway.services.customers.store import MAX_ATTEMPTS, CustomerStore
from gateway.services.errors import Contended, CustomerExists, CustomerNotDeleted, CustomerNotFound, InvalidInput
from gateway.services.pages import Page
from shared.features import CUST_ID
from shared.findings import findings


class DeletedCustomers(Protocol):
    """Copies of deleted customers, kept durably until they expire. Every method may raise `StoreError`.

    A copy that does not count at a time is neither returned nor claimed then.
    """

    def keep(self, deletion: str, copy: DeletedCustomer, counts_from: datetime) -> None:
        """Keep a copy under the deletion's own id; it counts from then on."""

    def confirm(self, deletion: str) -> None:
        """Let the copy of a deletion count now, if it is there."""

    def forget(self, deletion: str) -> None:
        """Remove the copy of a deletion, if it is there."""

    def claim(self, cust_id: str, claim: str, at: datetime, until: datetime) -> DeletedCustomer | None:
        """Return a customer's latest copy, which does not count until then; None where there is none that counts."""

    def release(self, cust_id: str, claim: str) -> None:
        """Let the copy that was claimed so count again."""

    def finish(self, cust_id: str, claim: str) -> bool:
        """Remove the copy that was claimed so; return whether it was there."""

    def forget_until(self, cust_id: str, updated_at: datetime) -> int:
        """Remove a customer's copies of states up to the one of `updated_at`; return how many those were."""

    def erase(self, cust_id: str, created_until: datetime) -> int:
        """Remove all copies of the customers of this id that were created until then; return how many."""

    def latest(self, cust_id: str, at: datetime) -> DeletedCustomer | None:
        """Return a customer's copy of the latest state (by ``updated_at``, then ``deleted_at``), or None."""

    def page(self, after: str | None, limit: int, at: datetime) -> list[DeletedCustomer]:
        """Return the latest copies of up to `limit` customers with CUST_ID greater than `after`, in CUST_ID order."""


IN_PROGRESS_TIME = timedelta(minutes=1)
"""How long a copy does not count whose deletion, or whose restoring, is under way: longer than any request takes."""


class DeletionService:
    """Deletes customers and restores them.

    Parameters
    ----------
    erased : tells whether the customer of this id that was created at that time is being erased, or was.
    retention : how long a deleted customer can be restored; zero: not at all.
    require_revision : whether deleting a customer needs its revision in the precondition.
    """

    def __init__(
        self,
        customers: CustomerStore,
        deleted: DeletedCustomers,
        erased: Callable[[str, datetime], bool],
        retention: timedelta,
        auditor: Auditor,
        *,
        require_revision: bool = False,
    ) -> None:
        self._customers = customers
        self._deleted = deleted
        self._erased = erased
        self._auditor = auditor
        self._retention = retention
        self._require_revision = require_revision

    def delete(self, cust_id: str, expected: Precondition = ANY_STATE) -> None:
        """Delete a customer; within the retention time it can be restored.

        Raises
        ------
        CustomerNotFound, StaleRevision, CustomerNotNew, RevisionRequired
        """
        for _ in range(MAX_ATTEMPTS):
            customer = self._customers.get(cust_id)
            if customer is None:
                raise CustomerNotFound(cust_id)
            expected.check(cust_id, customer, require_revision=self._require_revision)
            if self._delete(customer):
                return
        raise Contended(cust_id)

    def _delete(self, customer: Customer) -> bool:
        deletion = self._keep(customer)
        with self._auditor.change(
            Change("customer.deleted", "customer", customer[CUST_ID], customer["revision"])
        ) as announced:
            if not self._customers.delete(customer[CUST_ID], customer["revision"]):
                announced.refused()
                self._deleted.forget(deletion)
                return False
        # Copies of earlier states and of earlier customers of this id can never be restored any more.
        earlier = timedelta(milliseconds=1 if self._retention else 0)
        self._deleted.forget_until(customer[CUST_ID], customer["updated_at"] - earlier)
        self._deleted.confirm(deletion)
        if self._erased(customer[CUST_ID], customer["created_at"]):
            # While a restore was under way, the erasure may have looked for the customer where it was not.
            erase_customer(self._customers, self._deleted, customer[CUST_ID], customer["created_at"])
        return True

    def _keep(self, customer: Customer) -> str:
        deletion = secrets.token_hex(8)
        if self._retention:
            copy = deleted_customer(customer, self._retention)
            self._deleted.keep(deletion, copy, counts_from=copy["deleted_at"] + IN_PROGRESS_TIME)
        return deletion

    def get(self, cust_id: str) -> DeletedCustomer:
        """Return a deleted customer.

        Raises
        ------
        CustomerNotDeleted
        """
        copy = self._deleted.latest(cust_id, now())
        if copy is None or self._customers.get(cust_id):
            raise CustomerNotDeleted(cust_id)
        return copy

    def page(self, after: str | None, limit: int) -> Page[DeletedCustomer, str]:
        """Return up to `limit` deleted customers whose CUST_ID follows `after`, in CUST_ID order."""
        items: list[DeletedCustomer] = []
        while len(items) <= limit:
            copies = self._deleted.page(after, limit + 1, now())
            stored = self._customers.get_many([copy[CUST_ID] for copy in copies]) if copies else {}
            items += [copy for copy in copies if copy[CUST_ID] not in stored]
            if len(copies) <= limit:
                break
            after = copies[-1][CUST_ID]
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
            return self._restore(cust_id)
        except CustomerExists:
            stored = self._customers.get(cust_id) if first_tried_at else None
            if not (first_tried_at and stored and stored["updated_at"] >= first_tried_at):
                raise
            return Written(stored, False, findings(stored, stored))

    def _restore(self, cust_id: str) -> Written:
        claim, at = secrets.token_hex(8), now()
        copy = self._deleted.claim(cust_id, claim, at, until=at + IN_PROGRESS_TIME)
        if copy is None:
            raise CustomerExists(cust_id) if self._customers.get(cust_id) else CustomerNotDeleted(cust_id)
        try:
            customer = restored_customer(copy)
            change = Change("customer.restored", "customer", cust_id, copy["revision"], customer["revision"])
            with self._auditor.change(change):
                self._insert(customer, claim)
        except (CustomerExists, InvalidInput):
            self._deleted.release(cust_id, claim)
            raise
        self._deleted.forget_until(cust_id, copy["updated_at"])
        return Written(customer, False, findings(customer, customer))

    def _insert(self, customer: Customer, claim: str) -> None:
        self._customers.insert(customer)
        if not self._deleted.finish(customer[CUST_ID], claim):
            # It was erased while we held its copy: then the customer must not come back.
            remove_stored(self._customers, customer[CUST_ID], customer["created_at"])
            raise CustomerNotDeleted(customer[CUST_ID])


def remove_stored(customers: CustomerStore, cust_id: str, created_until: datetime) -> int:
    """Remove the customer of this id for good unless it was created later; return how many were removed: 1 or 0.

    Raises
    ------
    Contended
    """
    for _ in range(MAX_ATTEMPTS):
        customer = customers.get(cust_id)
        if customer is None or customer["created_at"] > created_until:
            return 0
        if customers.delete(cust_id, customer["revision"]):
            return 1
    raise Contended(cust_id)


def erase_customer(
    customers: CustomerStore, deleted: DeletedCustomers, cust_id: str, created_until: datetime
) -> tuple[int, int]:
    """Remove a customer and its deleted copies, unless it was created later; return how many of either there were.

    A restore that holds a copy may bring the customer back once, until it sees that the copy went.

    Raises
    ------
    Contended
    """
    removed = remove_stored(customers, cust_id, created_until)
    copies = deleted.erase(cust_id, created_until)
    return removed + remove_stored(customers, cust_id, created_until), copies
