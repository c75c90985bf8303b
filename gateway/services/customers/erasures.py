"""Erasing customers everywhere, with a receipt that does not name them.

The customer, its deleted copy, what the change log tells of it, the record of the erasure and its entry are one
transaction: no later customer with the same CUST_ID can lose what is told of it. The other places, each of which may be
away, follow; the worker sees to those that are left.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypedDict

from gateway.services.clock import now
from gateway.services.customers.customer import StoredCustomer, move_between, waiting_entries
from gateway.services.customers.deletions import DeletedCustomers
from gateway.services.customers.digest import keyed_digest
from gateway.services.customers.preconditions import ANY_STATE, Precondition
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import ErasureNotFound, SegmentationError
from gateway.services.events.change import Entry, Origin, Subject, nameless
from gateway.services.events.log import Outboxes
from gateway.services.events.recorder import entry_of
from gateway.services.transactions import Transactions


class Erasable(Protocol):
    """A place that may hold something about customers."""

    @property
    def name(self) -> str:
        """What a receipt calls the place: lower case letters and underscores."""

    def erase(self, cust_id: str) -> int:
        """Remove, or make anonymous, all that the place holds about a customer; return how many entries that were.

        Harmless when repeated: an erasure that was interrupted is done again. May raise any `SegmentationError`; the
        erasure is incomplete then, and the worker tries again.
        """


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure as it is kept.

    Attributes
    ----------
    id : its own id, which says nothing about the customer.
    digest : keyed hash of the CUST_ID.
    cust_id : None once the erasure is complete.
    erased : how many entries were removed, by place; a place that is not among them is still to be done.
    """

    id: str
    digest: str
    cust_id: str | None
    requested_at: datetime
    completed_at: datetime | None = None
    erased: Mapping[str, int] = field(default_factory=dict)


class ErasureRecords(Protocol):
    """Erasures, kept durably and for good. Every method may raise `StoreError`."""

    def add(self, erasure: Erasure) -> None:
        """Write down what is being erased; takes part in transactions."""

    def note(self, erasure_id: str, place: str, entries: int) -> None:
        """Write down that a place is done, adding to the entries that were removed from it before."""

    def complete(self, erasure_id: str, at: datetime) -> None:
        """Write down that all is done, and forget the CUST_ID."""

    def get(self, erasure_id: str) -> Erasure | None:
        """Return one erasure, or None."""

    def of(self, digest: str, limit: int) -> list[Erasure]:
        """Return up to `limit` erasures of one CUST_ID, newest first."""

    def page(self, after: str | None, limit: int) -> list[Erasure]:
        """Return up to `limit` erasures of all customers in the order of their ids, after one of them."""

    def unfinished(self, requested_until: datetime, after: str | None, limit: int) -> list[Erasure]:
        """Return erasures requested until then that are not complete, in the order of their ids, after one of them."""


log = logging.getLogger(__name__)

MAX_LISTED = 100
"""Most erasures of one CUST_ID that are listed; the newest come first."""
GRACE = timedelta(seconds=5)
"""How old an unfinished erasure is before the worker takes it over from the request that began it."""
CUSTOMERS, DELETED_CUSTOMERS = "customers", "deleted_customers"

NOTES = (
    "Exports, reports and training files are not stored here; copies that were downloaded are not erased.",
    "Imports keep the line numbers of rejected rows, not their contents; names of files and columns are kept as sent.",
    "Models keep statistics about segments, and some typical customers without their ids.",
    "The change log tells for 72 hours who was erased, so that systems that follow it can erase the same.",
    "Texts that people wrote are kept as they wrote them: names of API keys, of those behind a change (by), and of "
    "segments and their owners; descriptions of segments; reasons and notes of activations and versions.",
    "Server logs contain keyed hashes in the place of ids; MongoDB's oplog and backups contain what was stored. All of "
    "them expire by their own retention.",
)
"""What an erasure does not reach, for its receipt."""


class ErasureReceipt(TypedDict):
    """What became of an erasure. It does not name the customer.

    ``erased`` counts the entries that were removed or made anonymous, by place. An erasure that is in progress waits
    for the places in ``remaining``; the service finishes it by itself. ``not_reached`` says where else to look.
    """

    id: str
    status: Literal["completed", "in_progress"]
    requested_at: datetime
    completed_at: datetime | None
    erased: Mapping[str, int]
    remaining: list[str]
    not_reached: Sequence[str]


class Erasures(TypedDict):
    """The erasures of one CUST_ID, newest first."""

    items: list[ErasureReceipt]


class ErasureService:
    """Erases customers everywhere.

    Parameters
    ----------
    told : what was told of customers; it takes part in transactions.
    places : all else that may hold something about customers, beside the stores of customers and of deleted ones.
    secret : key of the hash that stands for a CUST_ID in completed erasures.
    require_revision : whether erasing a stored customer needs its revision in the precondition.
    """

    def __init__(
        self,
        customers: CustomerStore,
        deleted: DeletedCustomers,
        records: ErasureRecords,
        outboxes: Outboxes,
        transactions: Transactions,
        told: Erasable,
        places: Sequence[Erasable],
        secret: str,
        origin: Callable[[], Origin],
        *,
        require_revision: bool = False,
    ) -> None:
        self._customers = customers
        self._deleted = deleted
        self._records = records
        self._outboxes = outboxes
        self._transactions = transactions
        self._told = told
        # Erasures that versions before began have what was told still to do.
        self._places = (told, *places)
        self._secret = secret
        self._origin = origin
        self._require_revision = require_revision

    def erase(self, cust_id: str, expected: Precondition = ANY_STATE) -> ErasureReceipt:
        """Erase a customer, stored or deleted, and whatever quotes its id.

        An unknown id is no error: nothing is left then, which is the purpose, and other places than the stores of
        customers may hold it.

        Raises
        ------
        StaleRevision, CustomerNotNew, RevisionRequired
        """
        erasure = self._transactions.run(lambda: self._remove_customer(cust_id, expected))
        for place, error in self._carry_out(erasure, cust_id).items():
            log.warning("erasure %s could not erase from %s yet and is retried: %s", erasure.id, place, error)
        return self.get(erasure.id)

    def _remove_customer(self, cust_id: str, expected: Precondition) -> Erasure:
        stored = self._customers.delete(cust_id)
        expected.check(cust_id, stored, require_revision=self._require_revision)
        copies = self._deleted.take([cust_id])
        erased = {CUSTOMERS: 1 if stored else 0, DELETED_CUSTOMERS: len(copies)}
        erased[self._told.name] = self._told.erase(cust_id)
        erasure = Erasure(secrets.token_hex(12), self._digest(cust_id), cust_id, now(), erased=erased)
        self._records.add(erasure)
        # What still waits of the customer goes on, without its name.
        waiting = [nameless(entry) for customer in (*copies, stored) if customer for entry in waiting_entries(customer)]
        self._outboxes.add([*waiting, self._entry_of(erasure, cust_id, stored)])
        return erasure

    def _entry_of(self, erasure: Erasure, cust_id: str, stored: StoredCustomer | None) -> Entry:
        """Return the entry of an erasure. It leads to the receipt, and names the customer for a while only."""
        entry = entry_of(
            self._origin(),
            "customer.erased",
            Subject(type="erasure", id=erasure.id),
            before=stored["revision"] if stored else None,
            data={"digest": erasure.digest},
            erased_id=cust_id,
        )
        if stored and (left := move_between(stored["segment"], None)):
            entry["segment"] = left
        return entry

    def get(self, erasure_id: str) -> ErasureReceipt:
        """Return the receipt of an erasure.

        Raises
        ------
        ErasureNotFound
        """
        erasure = self._records.get(erasure_id)
        if erasure is None:
            raise ErasureNotFound(erasure_id)
        return self._receipt(erasure)

    def of(self, cust_id: str) -> Erasures:
        """Return the receipts of all erasures of a CUST_ID, which tells whether it was ever erased."""
        return Erasures(
            items=[self._receipt(erasure) for erasure in self._records.of(self._digest(cust_id), MAX_LISTED)]
        )

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:
        """Go through the erasures that were interrupted or had to wait; return how many there were.

        Parameters
        ----------
        heartbeat : called after each of them.

        Raises
        ------
        StoreError, Contended
            the pass ends there; the next one carries on.
        """
        done, after = 0, None
        while found := self._records.unfinished(now() - GRACE, after, MAX_LISTED):
            for erasure in found:
                assert erasure.cust_id is not None  # only complete ones have none
                self._carry_out(erasure, erasure.cust_id)
                heartbeat()
            done, after = done + len(found), found[-1].id
        return done

    def _carry_out(self, erasure: Erasure, cust_id: str) -> dict[str, SegmentationError]:
        """Erase the customer from all places that are not done; return what went wrong, by place."""
        failures: dict[str, SegmentationError] = {}
        for place in self._places:
            if place.name not in erasure.erased:
                try:
                    self._records.note(erasure.id, place.name, place.erase(cust_id))
                except SegmentationError as error:
                    failures[place.name] = error
        if not failures:
            self._records.complete(erasure.id, now())
            log.info("erasure %s is complete", erasure.id)
        return failures

    def _receipt(self, erasure: Erasure) -> ErasureReceipt:
        places = (CUSTOMERS, DELETED_CUSTOMERS, *(place.name for place in self._places))
        completed = erasure.completed_at is not None
        return ErasureReceipt(
            id=erasure.id,
            status="completed" if completed else "in_progress",
            requested_at=erasure.requested_at,
            completed_at=erasure.completed_at,
            erased=erasure.erased,
            remaining=[] if completed else [name for name in places if name not in erasure.erased],
            not_reached=NOTES,
        )

    def _digest(self, cust_id: str) -> str:
        return keyed_digest(self._secret, "erasure", cust_id)
