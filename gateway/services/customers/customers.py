"""Creating, reading and changing customers; each write brings the customer's segment along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import (
    Customer,
    Features,
    StoredCustomer,
    changed_customer,
    ignored,
    inputs_of,
    new_customer,
    refuse_changes,
    same_features,
    shown,
)
from gateway.services.customers.preconditions import ANY_STATE, Precondition
from gateway.services.customers.store import MAX_ATTEMPTS, CustomerStore
from gateway.services.errors import Contended, CustomerExists, CustomerNotFound, CustomerNotNew
from gateway.services.events.change import Origin
from gateway.services.events.log import Outboxes
from shared.features import CUST_ID, complete
from shared.findings import Finding, findings

MOST_WAITING = 100
"""How many entries may wait with a customer: the relay moves them within a second, unless it is away."""


def make_room(outboxes: Outboxes, customer: Customer) -> None:
    """Move the entries of a customer that is about to have `MOST_WAITING` more of them than when this was done last.

    Raises
    ------
    StoreError
    """
    if customer["seq"] % MOST_WAITING == MOST_WAITING - 1:
        outboxes.move_of(customer[CUST_ID])


@dataclass(frozen=True, slots=True)
class Written:
    """A stored customer, whether the write created it, and what looked odd in it."""

    customer: Customer
    created: bool
    warnings: list[Finding]


class CustomerService:
    """The customers of the bank.

    Parameters
    ----------
    origin : says where the change that is being made comes from.
    require_revision : whether changing a stored customer needs its revision in the precondition.
    """

    def __init__(
        self,
        store: CustomerStore,
        assigner: Assigner,
        outboxes: Outboxes,
        origin: Callable[[], Origin],
        *,
        require_revision: bool = False,
    ) -> None:
        self._store = store
        self._assigner = assigner
        self._outboxes = outboxes
        self._origin = origin
        self._require_revision = require_revision

    def get(self, cust_id: str) -> Customer:
        """Return one customer.

        Raises
        ------
        CustomerNotFound
        """
        return shown(self._stored(cust_id))

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
        customer = new_customer(cust_id, features, self._assigner.assign(features), self._origin())
        try:
            self._store.insert(customer)
        except CustomerExists:
            stored = self._store.get(cust_id) if first_tried_at else None
            if not (first_tried_at and stored and stored["created_at"] >= first_tried_at):
                raise
            if not same_features(stored, features):
                raise
            customer = stored
        return Written(shown(customer), True, findings(features, sent) + ignored(sent))

    def replace(self, cust_id: str, sent: Features, expected: Precondition = ANY_STATE) -> Written:
        """Create the customer, or replace all its features; where nothing is expected, the last writer wins.

        Members of the service may be sent along, if they are those that it has.

        Raises
        ------
        StaleRevision, CustomerNotNew, RevisionRequired, InvalidInput
        """
        if expected.new:
            if written := self._create_unless_taken(cust_id, sent):
                return written
            raise CustomerNotNew(cust_id)
        for _ in range(MAX_ATTEMPTS):
            old = self._store.get(cust_id)
            expected.check(cust_id, old, require_revision=self._require_revision)
            written = self._change(old, lambda _: sent) if old else self._create_unless_taken(cust_id, sent)
            if written:
                return written
        raise Contended(cust_id)

    def patch(self, cust_id: str, changes: Features, expected: Precondition = ANY_STATE) -> Written:
        """Change some features and keep the others (merge patch).

        Raises
        ------
        CustomerNotFound, StaleRevision, CustomerNotNew, RevisionRequired, InvalidInput
        """
        for _ in range(MAX_ATTEMPTS):
            old = self._stored(cust_id)
            expected.check(cust_id, old, require_revision=self._require_revision)
            if written := self._change(old, lambda old: {**old, **changes}):
                return written
        raise Contended(cust_id)

    def _stored(self, cust_id: str) -> StoredCustomer:
        customer = self._store.get(cust_id)
        if customer is None:
            raise CustomerNotFound(cust_id)
        return customer

    def _create_unless_taken(self, cust_id: str, sent: Features) -> Written | None:
        try:
            return self.create(cust_id, sent)
        except CustomerExists:
            return None

    def _change(self, old: StoredCustomer, edit: Callable[[Features], Features]) -> Written | None:
        """Write the edited features over `old`; None when somebody else was faster."""
        sent = edit(inputs_of(old))
        refuse_changes(old, sent)
        features = complete(sent)
        warnings = findings(features, sent) + ignored(sent)
        if same_features(old, features):
            return Written(shown(old), False, warnings)
        update = changed_customer(old, features, self._assigner.assign(features), self._origin())
        make_room(self._outboxes, old)
        return Written(shown(update.customer), False, warnings) if self._store.update(update) else None
