"""A customer: its document as it is stored, the states it can be in, and everything that makes one of another.

The features stand in the document beside the members that are declared here. They are those of the data dictionary
(`shared.features.FEATURES`), so that a new one needs no entry here: a constructor takes them in as they are, and
`inputs_of` and `same_features` read them by name.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypedDict, cast

from gateway.services.clock import later_than, now
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID, INPUT_NAMES, complete, lacking
from shared.findings import Finding
from shared.problems import FieldError

SegmentStatus = Literal["assigned", "pending"]
ASSIGNED: Final = "assigned"
PENDING: Final = "pending"
"""There is no segment yet; the worker assigns it as soon as the model service answers."""

Features = Mapping[str, Any]
"""A customer's features by column name, in stored form (`shared.features.complete`)."""


class Assignment(TypedDict):
    """The segment a customer is in, as stored with the customer. ``rival`` is a segment id or None."""

    id: str
    confidence: float
    rival: str | None
    model_version: str
    assigned_at: datetime


class Customer(TypedDict):
    """A stored customer. Beside these members it has every feature; times are UTC.

    ``revision`` changes with every write, ``updated_at`` only where the features do.
    """

    CUST_ID: str
    segment: Assignment | None
    segment_status: SegmentStatus
    revision: str
    created_at: datetime
    updated_at: datetime


class DeletedCustomer(Customer):
    """A customer as it was when it was deleted, and until when it can be restored."""

    deleted_at: datetime
    expires_at: datetime


CustomerPart = Mapping[str, Any]
"""Some members of a `Customer`: CUST_ID and those that a reader wants."""


def new_revision() -> str:
    """Return an unguessable revision; a counter would repeat after a delete and let a stale If-Match through."""
    return secrets.token_hex(8)


def new_customer(cust_id: str, features: Features, assignment: Assignment | None) -> Customer:
    """Return the document of a customer that was not stored before."""
    return _customer(cust_id, features, assignment, new_revision(), now())


def new_customers(features: Mapping[str, Features], assignments: Mapping[str, Assignment | None]) -> list[Customer]:
    """Return the documents of many customers that were not stored before, in a third of the time of `new_customer`."""
    at, text = now(), secrets.token_hex(8 * len(features))
    return [
        _customer(cust_id, of_one, assignments[cust_id], text[place * 16 : place * 16 + 16], at)
        for place, (cust_id, of_one) in enumerate(features.items())
    ]


def _customer(cust_id: str, features: Features, assignment: Assignment | None, revision: str, at: datetime) -> Customer:
    document = {
        CUST_ID: cust_id,
        **features,
        "segment": assignment,
        "segment_status": ASSIGNED if assignment else PENDING,
        "revision": revision,
        "created_at": at,
        "updated_at": at,
    }
    return cast(Customer, document)  # no type can name members that are derived


def changed_customer(old: Customer, features: Features, assignment: Assignment | None) -> Customer:
    """Return the next revision of a stored customer."""
    changed = new_customer(old["CUST_ID"], features, assignment)
    changed["created_at"], changed["updated_at"] = old["created_at"], later_than(old["updated_at"])
    return changed


def assigned_customer(old: Customer, assignment: Assignment) -> Customer:
    """Return the next revision of a stored customer, which differs in its segment alone."""
    return {**old, "segment": assignment, "segment_status": ASSIGNED, "revision": new_revision()}


def deleted_customer(customer: Customer, retention: timedelta) -> DeletedCustomer:
    """Return the copy of a customer that is deleted now and can be restored for so long."""
    at = now()
    return {**customer, "deleted_at": at, "expires_at": at + retention}


def restored_customer(copy: DeletedCustomer) -> Customer:
    """Return the next revision of a customer that was deleted, with the features that the data dictionary has today.

    One that is younger than the customer is still missing then.
    """
    inputs = inputs_of(copy)
    kept = {name: value for name, value in copy.items() if name not in ("deleted_at", "expires_at")}
    new = {"revision": new_revision(), "updated_at": later_than(copy["updated_at"])}
    return cast(Customer, {**kept, **complete(inputs), **new})


def inputs_of(customer: Features) -> dict[str, Any]:
    """Return the features that a client sends, as the customer has them; None where it has none."""
    return {name: customer.get(name) for name in INPUT_NAMES}


def same_features(customer: Customer, features: Features) -> bool:
    """Whether a stored customer already has these features."""
    # The first says the same of nearly all, in a fifth of the time; a feature younger than the customer is not in it.
    return features.items() <= customer.items() or all(customer.get(name) == value for name, value in features.items())


KEPT_BY_SERVICE: Final = ("segment", "segment_status", "revision", "created_at", "updated_at")
"""What the service adds to a stored customer."""
ADDED: Final = (*KEPT_BY_SERVICE, "deleted_at", "expires_at", "warnings")
"""What the service adds to customers in its answers; who sends one back changes none of it."""


def refuse_changes(old: Customer, sent: Features) -> None:
    """Raise InvalidInput where a customer is sent back with other members of the service than it has."""
    changed = [name for name in KEPT_BY_SERVICE if name in sent and sent[name] != old.get(name)]
    if changed:
        detail = "is set by the service, which now has another value: leave it out, or read the customer again"
        raise InvalidInput([FieldError(pointer=f"/{name}", detail=detail) for name in changed])


def ignored(sent: Features) -> list[Finding]:
    """Return a finding for every member of the service that was sent: it is not used."""
    return [
        Finding(
            pointer=f"/{name}", code="member_ignored", detail=f"{name} is set by the service; what was sent is unused"
        )
        for name in ADDED
        if name in sent
    ]


def refuse_gaps(features: Features) -> None:
    """Raise InvalidInput where a customer that was stored before a feature existed still lacks it."""
    missing = lacking(features)
    if missing:
        detail = "is missing from the stored customer and must be added"
        raise InvalidInput([FieldError(pointer=f"/{name}", detail=detail) for name in missing])
