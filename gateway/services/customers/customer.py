"""A stored customer: its document, its states and its revisions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from gateway.services.clock import later_than, now
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID, INPUTS
from shared.problems import FieldError

ASSIGNED = "assigned"


PENDING = "pending"


def new_revision() -> str:
    """Return an unguessable revision; a counter would repeat after a delete and let a stale If-Match through."""
    return secrets.token_hex(8)


def new_revisions(count: int) -> list[str]:
    """Return so many revisions, all different."""
    text = secrets.token_hex(8 * count)
    return [text[place : place + 16] for place in range(0, len(text), 16)]


Customer = dict[str, Any]
"""A stored customer: CUST_ID, every feature, ``segment`` (`Assignment` or None), ``segment_status``, ``revision``,
``created_at``, ``updated_at`` (UTC)."""


Features = Mapping[str, Any]
"""A customer's features by column name, in stored form (`shared.features.complete`)."""


class Assignment(TypedDict):
    """The segment a customer is in, as stored with the customer. ``rival`` is a segment id or None."""

    id: str
    confidence: float
    rival: str | None
    model_version: str
    assigned_at: datetime


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
