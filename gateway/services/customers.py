"""Creating, reading, changing and deleting customers; each write brings the customer's segment along."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import NamedTuple

from gateway.services.assignment import ASSIGNED, PENDING, Assigner, new_revision, now
from gateway.services.errors import (
    Contended,
    CustomerExists,
    CustomerNotFound,
    CustomerNotNew,
    InvalidInput,
    StaleRevision,
)
from gateway.services.ports import Assignment, Customer, CustomerStore, Features
from shared.features import CUST_ID, INPUT_NAMES, INPUTS, complete
from shared.findings import Finding, findings
from shared.problems import FieldError

Revisions = Container[str]
"""The revisions a caller accepts a change to; None where it accepts any, even that there is no customer."""

MAX_ATTEMPTS = 20
"""How often a write starts over when others keep changing the same customer."""


class Written(NamedTuple):
    """A stored customer, whether the write created it, and what looked odd in it."""

    customer: Customer
    created: bool
    warnings: list[Finding]


class Page(NamedTuple):
    """One page of a list; `more` says whether customers follow the last one."""

    items: list[Customer]
    more: bool


def new_customer(cust_id: str, features: Features, assignment: Assignment | None) -> Customer:
    """Return the document of a customer that was not stored before."""
    at = now()
    return {
        CUST_ID: cust_id,
        **features,
        "segment": assignment,
        "segment_status": ASSIGNED if assignment else PENDING,
        "revision": new_revision(),
        "created_at": at,
        "updated_at": at,
    }


def changed_customer(old: Customer, features: Features, assignment: Assignment | None) -> Customer:
    """Return the next revision of a stored customer."""
    return {**new_customer(old[CUST_ID], features, assignment), "created_at": old["created_at"]}


def same_features(customer: Customer, features: Features) -> bool:
    """Whether a stored customer already has these features."""
    return all(customer.get(name) == value for name, value in features.items())


def refuse_gaps(features: Features) -> None:
    """Raise InvalidInput where a customer that was stored before a feature existed still lacks it."""
    missing = [f.name for f in INPUTS if not f.nullable and features.get(f.name) is None]
    if missing:
        detail = "is missing in the stored customer: send it along"
        raise InvalidInput([FieldError(pointer=f"/{name}", detail=detail) for name in missing])


class CustomerService:
    """The customers of the bank."""

    def __init__(self, store: CustomerStore, assigner: Assigner) -> None:
        self._store = store
        self._assigner = assigner

    def get(self, cust_id: str) -> Customer:
        """Return one customer.

        Raises
        ------
        CustomerNotFound
        """
        customer = self._store.get(cust_id)
        if customer is None:
            raise CustomerNotFound(cust_id)
        return customer

    def page(self, after: str | None, limit: int) -> Page:
        """Return up to `limit` customers whose CUST_ID follows `after`, in CUST_ID order."""
        items = self._store.page(after, limit + 1)
        return Page(items[:limit], len(items) > limit)

    def create(self, cust_id: str, sent: Features) -> Written:
        """Store a new customer.

        Raises
        ------
        CustomerExists
        """
        features = complete(sent)
        customer = new_customer(cust_id, features, self._assigner.assign(features))
        self._store.insert(customer)
        return Written(customer, True, findings(features, sent))

    def replace(
        self, cust_id: str, sent: Features, expected: Revisions | None = None, *, only_new: bool = False
    ) -> Written:
        """Create the customer, or replace all its features.

        Parameters
        ----------
        expected : the revisions the caller knows; without them the last writer wins.
        only_new : create, never replace.

        Raises
        ------
        StaleRevision, CustomerNotNew
        """
        for _ in range(MAX_ATTEMPTS):
            old = self._store.get(cust_id)
            if old is not None and only_new:
                raise CustomerNotNew(cust_id)
            if old is not None:
                written = self._change(old, lambda _: sent, expected)
            elif expected is not None:
                raise StaleRevision(cust_id)
            else:
                written = self._create_unless_taken(cust_id, sent)
            if written:
                return written
        raise Contended(cust_id)

    def patch(self, cust_id: str, changes: Features, expected: Revisions | None = None) -> Written:
        """Change some features and keep the others (merge patch).

        Raises
        ------
        CustomerNotFound, StaleRevision
        """
        for _ in range(MAX_ATTEMPTS):
            if written := self._change(self.get(cust_id), lambda old: {**old, **changes}, expected):
                return written
        raise Contended(cust_id)

    def delete(self, cust_id: str, expected: Revisions | None = None) -> None:
        """Delete a customer.

        Raises
        ------
        CustomerNotFound, StaleRevision
        """
        for _ in range(MAX_ATTEMPTS):
            revision = self._checked(self.get(cust_id), expected)["revision"]
            if self._store.delete(cust_id, None if expected is None else revision):
                return
        raise Contended(cust_id)

    def _create_unless_taken(self, cust_id: str, sent: Features) -> Written | None:
        try:
            return self.create(cust_id, sent)
        except CustomerExists:
            return None

    @staticmethod
    def _checked(customer: Customer, expected: Revisions | None) -> Customer:
        if expected is not None and customer["revision"] not in expected:
            raise StaleRevision(customer[CUST_ID])
        return customer

    def _change(
        self, old: Customer, edit: Callable[[Features], Features], expected: Revisions | None
    ) -> Written | None:
        """Write the edited features over `old`; None when somebody else was faster."""
        self._checked(old, expected)
        sent = edit({name: old.get(name) for name in INPUT_NAMES})
        refuse_gaps(sent)
        features = complete(sent)
        warnings = findings(features, sent)
        if same_features(old, features):
            return Written(old, False, warnings)
        customer = changed_customer(old, features, self._assigner.assign(features))
        stored = self._store.replace(customer, old["revision"])
        return Written(customer, False, warnings) if stored else None
