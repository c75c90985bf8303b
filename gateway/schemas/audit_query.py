"""The query string of the audit trail: filters, page size and cursor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, get_args

from gateway.schemas.filter_values import time
from gateway.schemas.paging import PAGE, load_page_request
from gateway.schemas.queries import Query, load_parameters
from gateway.services.audit import Action, AuditFilters
from gateway.services.customer_query import Op
from gateway.services.errors import InvalidInput
from shared.problems import FieldError

AUDIT = ("subject", "actor", "action", "at[gte]", "at[lt]", *PAGE)
ACTIONS: tuple[str, ...] = get_args(Action)


class AuditRequest(NamedTuple):
    """Which page is asked for: up to `limit` entries that are older than the one with the id `before`."""

    filters: AuditFilters
    before: str | None
    limit: int


def load_audit_request(query: Query) -> AuditRequest:
    """Return what is asked for.

    Raises
    ------
    InvalidInput
    """
    found = load_parameters(query, AUDIT)
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, (attribute, read) in _READERS.items():
        try:
            values |= {attribute: read(found[name])} if name in found else {}
        except ValueError as error:
            errors.append(FieldError(pointer=f"?{name}", detail=str(error)))
    try:
        page = load_page_request({name: found[name] for name in PAGE if name in found})
    except InvalidInput as error:
        errors += error.errors
    if errors:
        raise InvalidInput(errors, "the query string breaks the rules in errors")
    return AuditRequest(AuditFilters(**values), page.after, page.limit)


def _id(text: str) -> str:
    if not 1 <= len(text) <= 200:
        raise ValueError("must be an id of 1 to 200 characters")
    return text


def _action(text: str) -> str:
    if text not in ACTIONS:
        raise ValueError(f"must be one of {', '.join(ACTIONS)}")
    return text


def _since(text: str) -> datetime:
    return time(text, Op.GTE)


def _until(text: str) -> datetime:
    return time(text, Op.LT)


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "subject": ("subject", _id),
    "actor": ("actor", _id),
    "action": ("action", _action),
    "at[gte]": ("since", _since),
    "at[lt]": ("until", _until),
}
