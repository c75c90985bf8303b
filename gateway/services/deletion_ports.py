"""What deleting and restoring customers needs from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from gateway.services.customer import Customer


class DeletedCustomers(Protocol):
    """Copies of deleted customers, kept durably until they expire. Every method may raise `StoreError`.

    A copy is the customer as it was, with ``deleted_at`` and ``expires_at`` (UTC). One that does not count at a time is
    neither returned nor claimed then.
    """

    def keep(self, deletion: str, copy: Customer, counts_from: datetime) -> None:
        """Keep a copy under the deletion's own id; it counts from then on."""

    def confirm(self, deletion: str) -> None:
        """Let the copy of a deletion count now, if it is there."""

    def forget(self, deletion: str) -> None:
        """Remove the copy of a deletion, if it is there."""

    def claim(self, cust_id: str, claim: str, at: datetime, until: datetime) -> Customer | None:
        """Return a customer's latest copy, which does not count until then; None where there is none that counts."""

    def release(self, cust_id: str, claim: str) -> None:
        """Let the copy that was claimed so count again."""

    def finish(self, cust_id: str, claim: str) -> bool:
        """Remove the copy that was claimed so; return whether it was there."""

    def forget_until(self, cust_id: str, updated_at: datetime) -> int:
        """Remove a customer's copies of states up to the one of `updated_at`; return how many those were."""

    def erase(self, cust_id: str, created_until: datetime) -> int:
        """Remove all copies of the customers of this id that were created until then; return how many."""

    def latest(self, cust_id: str, at: datetime) -> Customer | None:
        """Return a customer's copy of the latest state (by ``updated_at``, then ``deleted_at``), or None."""

    def page(self, after: str | None, limit: int, at: datetime) -> list[Customer]:
        """Return the latest copies of up to `limit` customers with CUST_ID greater than `after`, in CUST_ID order."""
