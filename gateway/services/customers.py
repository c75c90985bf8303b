"""Creating, reading and changing customers; each write brings the customer's segment along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from gateway.services.assignment import ASSIGNED, PENDING, Assigner, new_revision, new_revisions, now
from gateway.services.audit import Action
from gateway.services.auditor import Auditor, Change
from gateway.services.errors import Contended, CustomerExists, CustomerNotFound, InvalidInput
from gateway.services.ports import Assignment, Customer, CustomerStore, Features
from gateway.services.preconditions import ANY_STATE, Precondition
from shared.features import CUST_ID, INPUT_NAMES, INPUTS, complete
from shared.findings import Finding, findings
from shared.problems import FieldError

MAX_ATTEMPTS = 20
"""How often a write starts over when others keep changing the same customer."""


class Written(NamedTuple):
    """A stored customer, whether the write created it, and what looked odd in it."""

    customer: Customer
    created: bool
    warnings: list[Finding]


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


def new_customers(features: Mapping[str, Features], assignments: Mapping[str, Assignment | None]) -> list[Customer]:
    """Return the documents of many customers that were not stored before, as `new_customer` does in thrice the time."""
    at, revisions = now(), new_revisions(len(features))
    return [
        {
            CUST_ID: cust_id,
            **of_one,
            "segment": assignments[cust_id],
            "segment_status": ASSIGNED if assignments[cust_id] else PENDING,
            "revision": revision,
            "created_at": at,
            "updated_at": at,
        }
        for (cust_id, of_one), revision in zip(features.items(), revisions, strict=True)
    ]


def changed_customer(old: Customer, features: Features, assignment: Assignment | None) -> Customer:
    """Return the next revision of a stored customer."""
    times = {"created_at": old["created_at"], "updated_at": later_than(old["updated_at"])}
    return {**new_customer(old[CUST_ID], features, assignment), **times}


def later_than(moment: datetime) -> datetime:
    """Return the time, or what follows `moment` where that has not passed yet.

    So that ``updated_at`` tells which of two states of a customer is the later one, whatever a clock does.
    """
    return max(now(), moment + timedelta(milliseconds=1))


def same_features(customer: Customer, features: Features) -> bool:
    """Whether a stored customer already has these features."""
    # The first says the same of nearly all, in a fifth of the time; a feature younger than the customer is not in it.
    return features.items() <= customer.items() or all(customer.get(name) == value for name, value in features.items())


def refuse_gaps(features: Features) -> None:
    """Raise InvalidInput where a customer that was stored before a feature existed still lacks it."""
    missing = [f.name for f in INPUTS if not f.nullable and features.get(f.name) is None]
    if missing:
        detail = "is missing in the stored customer: send it along"
        raise InvalidInput([FieldError(pointer=f"/{name}", detail=detail) for name in missing])


class CustomerService:
    """The customers of the bank.

    Parameters
    ----------
    must_know : whether whoever changes a stored customer has to say which revision is known.
    """

    def __init__(self, store: CustomerStore, assigner: Assigner, auditor: Auditor, *, must_know: bool = False) -> None:
        self._store = store
        self._assigner = assigner
        self._auditor = auditor
        self._must_know = must_know

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

    def create(self, cust_id: str, sent: Features, first_tried_at: datetime | None = None) -> Written:
        """Store a new customer.

        Parameters
        ----------
        first_tried_at : when the same was tried first, where that broke off. A customer that was created since with
            the same features is taken for what it did.

        Raises
        ------
        CustomerExists
        """
        features = complete(sent)
        customer = new_customer(cust_id, features, self._assigner.assign(features))
        try:
            with self._auditor.change(Change("customer.created", "customer", cust_id, None, customer["revision"])):
                self._store.insert(customer)
        except CustomerExists:
            stored = self._store.get(cust_id) if first_tried_at else None
            if not (stored and stored["created_at"] >= first_tried_at and same_features(stored, features)):
                raise
            customer = stored
        return Written(customer, True, findings(features, sent))

    def replace(self, cust_id: str, sent: Features, expected: Precondition = ANY_STATE) -> Written:
        """Create the customer, or replace all its features; where nothing is expected, the last writer wins.

        Raises
        ------
        StaleRevision, CustomerNotNew, RevisionRequired
        """
        for _ in range(MAX_ATTEMPTS):
            old = self._store.get(cust_id)
            expected.check(cust_id, old, must_know=self._must_know)
            written = (
                self._change("customer.replaced", old, lambda _: sent)
                if old
                else self._create_unless_taken(cust_id, sent)
            )
            if written:
                return written
        raise Contended(cust_id)

    def patch(self, cust_id: str, changes: Features, expected: Precondition = ANY_STATE) -> Written:
        """Change some features and keep the others (merge patch).

        Raises
        ------
        CustomerNotFound, StaleRevision, CustomerNotNew, RevisionRequired
        """
        for _ in range(MAX_ATTEMPTS):
            old = self.get(cust_id)
            expected.check(cust_id, old, must_know=self._must_know)
            if written := self._change("customer.patched", old, lambda old: {**old, **changes}):
                return written
        raise Contended(cust_id)

    def _create_unless_taken(self, cust_id: str, sent: Features) -> Written | None:
        try:
            return self.create(cust_id, sent)
        except CustomerExists:
            return None

    def _change(self, action: Action, old: Customer, edit: Callable[[Features], Features]) -> Written | None:
        """Write the edited features over `old`; None when somebody else was faster."""
        sent = edit({name: old.get(name) for name in INPUT_NAMES})
        refuse_gaps(sent)
        features = complete(sent)
        warnings = findings(features, sent)
        if same_features(old, features):
            return Written(old, False, warnings)
        customer = changed_customer(old, features, self._assigner.assign(features))
        change = Change(action, "customer", old[CUST_ID], old["revision"], customer["revision"])
        with self._auditor.change(change) as announced:
            if not self._store.replace(customer, old["revision"]):
                announced.refused()
                return None
        return Written(customer, False, warnings)
