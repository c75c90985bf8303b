"""The query string of the list of customers: filters, order, members, page and total."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, get_args

from gateway.schemas.customer_query import load_fields, load_filters, load_order
from gateway.schemas.paging import DEFAULT_LIMIT, Cursors, load_limit
from gateway.schemas.queries import Query
from gateway.services.customer_query import (
    BY_ID,
    FIELDS,
    CustomerQuery,
    Exactness,
    Filters,
    Kind,
    Order,
    Position,
    SortKey,
)
from gateway.services.errors import InvalidInput
from shared.problems import FieldError

PAGE_PARAMETERS = ("limit", "cursor", "sort", "fields", "count")
LIST = (*PAGE_PARAMETERS, *FIELDS)
"""The parameters of a list. The fields are filters, which may also be written FIELD[operator]."""

_COUNTS: tuple[Exactness, ...] = get_args(Exactness)

Value = TypeVar("Value")


class ListRequest(NamedTuple):
    """A page of customers, whether to count all that match, and which list it is a page of (`Cursors`)."""

    query: CustomerQuery
    total: Exactness | None
    list_id: str


FIRST_PAGE = ListRequest(CustomerQuery(limit=DEFAULT_LIMIT), None, "")
"""What is asked for without any parameter."""


def load_list(query: Query, cursors: Cursors) -> ListRequest:
    """Return what is asked for.

    Raises
    ------
    InvalidInput
        naming all parameters that are wrong; a cursor is only looked at when the others are right.
    """
    pairs = list(query)
    if not pairs:
        return FIRST_PAGE
    found = dict(pairs)
    errors: list[FieldError] = []

    def attempt(load: Callable[[], Value], otherwise: Value) -> Value:
        try:
            return load()
        except InvalidInput as error:
            errors.extend(error.errors)
            return otherwise

    nothing: Filters = ()
    filters = attempt(lambda: load_filters(pairs, PAGE_PARAMETERS), nothing)
    order = attempt(lambda: load_order(found), BY_ID)
    fields = attempt(lambda: load_fields(pairs), None)
    limit = attempt(lambda: load_limit(found), 0)
    total = attempt(lambda: _total(found), None)
    list_id = _list_id(filters, order)
    after = attempt(lambda: _after(found, cursors, list_id, order), None) if not errors else None
    if errors:
        raise InvalidInput(errors, "the query string breaks the rules in errors")
    return ListRequest(CustomerQuery(filters, order, after, limit, fields), total, list_id)


def _total(query: Mapping[str, str]) -> Exactness | None:
    text = query.get("count")
    if text is None:
        return None
    for exactness in _COUNTS:
        if text == exactness:
            return exactness
    raise InvalidInput([FieldError(pointer="?count", detail=f"must be {' or '.join(_COUNTS)}")])


def _after(query: Mapping[str, str], cursors: Cursors, list_id: str, order: Order) -> Position | None:
    text = query.get("cursor")
    return None if text is None else tuple(map(_in_memory, order, cursors.read(text, list_id)))


def _in_memory(key: SortKey, value: Any) -> Any:
    """Return a cursor's value as customers have it: a cursor is JSON, which knows no times."""
    is_time = FIELDS[key.field].kind == Kind.TIME
    return datetime.fromisoformat(value) if is_time and value is not None else value


def _list_id(filters: Filters, order: Order) -> str:
    """Return what tells lists apart: a cursor holds only in the list that it was made for."""
    if not filters and order == BY_ID:
        return ""
    wanted = sorted((c.field, c.op.value, repr(c.value)) for c in filters)
    return hashlib.blake2b(repr((wanted, order)).encode(), digest_size=9).hexdigest()
