"""The body and the query string of a batch of customers."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError

from gateway.schemas.customers import customer_schema, field_errors
from gateway.schemas.queries import Query, load_parameters
from gateway.services.batches import MAX_ROWS, BadRow, Row
from gateway.services.bulk_writes import Mode
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID, cust_id_fault
from shared.problems import FieldError

MODE = ("mode",)
IF_REVISION = "if_revision"
"""Beside a row's features: the revision that the stored customer must have, as If-Match says for one customer."""

_customer = customer_schema()


def load_mode(query: Query) -> Mode:
    """Return what becomes of customers that are stored already.

    Raises
    ------
    InvalidInput
    """
    sent = load_parameters(query, MODE).get("mode", Mode.UPSERT.value)
    if sent not in {mode.value for mode in Mode}:
        errors = [FieldError(pointer="?mode", detail=f"must be {' or '.join(mode.value for mode in Mode)}")]
        raise InvalidInput(errors, "the query string breaks the rules in errors")
    return Mode(sent)


def load_rows(body: Any, mode: Mode) -> list[Row | BadRow]:
    """Return the rows of a batch, checked one by one.

    Raises
    ------
    InvalidInput
        when the body is not a batch at all.
    """
    customers = body.get("customers") if isinstance(body, dict) else None
    if not isinstance(customers, list) or len(body) > 1 or not 1 <= len(customers) <= MAX_ROWS:
        detail = f"must be an array of 1 to {MAX_ROWS} customers, alone in the body"
        raise InvalidInput([FieldError(pointer="/customers", detail=detail)])
    return [_row(place, sent, mode) for place, sent in enumerate(customers)]


def _row(place: int, sent: Any, mode: Mode) -> Row | BadRow:
    revision, faults = None, []
    prefix = f"/customers/{place}"
    if isinstance(sent, dict) and IF_REVISION in sent:
        sent = dict(sent)
        revision = sent.pop(IF_REVISION)
        if fault := _revision_fault(revision, mode):
            faults = [FieldError(pointer=f"{prefix}/{IF_REVISION}", detail=fault)]
    try:
        features = _customer.load(sent)
    except ValidationError as error:
        faults += field_errors(error, prefix)
    if faults:
        given = sent.get(CUST_ID) if isinstance(sent, dict) else None
        return BadRow(None if cust_id_fault(given) else given, InvalidInput(faults))
    return Row(features.pop(CUST_ID), features, revision)


def _revision_fault(revision: object, mode: Mode) -> str | None:
    if not isinstance(revision, str):
        return "must be a string"
    return "can only be asked for with mode=upsert" if mode is Mode.INSERT else None
