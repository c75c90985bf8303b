"""The query string of customers: conditions on fields, which members to show, and in which order."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from gateway.schemas.filter_values import READERS, flag
from gateway.schemas.queries import Query
from gateway.services.customer_query import (
    FIELDS,
    MEMBERS,
    SORTABLE,
    Condition,
    Field,
    Filters,
    Op,
    Order,
    SortKey,
    order_of,
)
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID
from shared.problems import FieldError

MAX_CONDITIONS = 20
MAX_IN = 100
MAX_SORT_KEYS = 4

_name = re.compile(r"([A-Za-z_]+)(?:\[([^\[\]]*)\])?")


def load_filters(query: Query, others: Collection[str] = ("fields", "format")) -> Filters:
    """Return the conditions: ``FIELD=value`` and ``FIELD[op]=value``, all of which must hold.

    Parameters
    ----------
    others : parameters that are not filters and are left out; any other is an error.

    Raises
    ------
    InvalidInput
        with an error for each parameter that is wrong.
    """
    conditions: list[Condition] = []
    errors: list[FieldError] = []
    seen = set()
    for name, value in query:
        try:
            if name in seen:
                raise ValueError("is given more than once")
            seen.add(name)
            if name not in others:
                conditions.append(_condition(name, value, others))
        except ValueError as error:
            errors.append(FieldError(pointer=f"?{name}", detail=str(error)))
    if len(conditions) > MAX_CONDITIONS:
        errors.append(FieldError(pointer="", detail=f"at most {MAX_CONDITIONS} conditions may be given"))
    refuse(errors)
    return tuple(conditions)


def load_fields(query: Query) -> tuple[str, ...] | None:
    """Return which members of a customer ``fields`` asks for, CUST_ID in any case; None for all.

    Raises
    ------
    InvalidInput
    """
    text = dict(query).get("fields")
    if text is None:
        return None
    names = text.split(",")
    unknown = [name for name in names if name not in MEMBERS]
    refuse([_error("fields", f"{name!r} is not a member: there is {', '.join(MEMBERS)}") for name in unknown])
    return tuple(member for member in MEMBERS if member == CUST_ID or member in names)


def load_order(query: Mapping[str, str]) -> Order:
    """Return the order that ``sort`` asks for: ``-`` before a field means descending.

    Raises
    ------
    InvalidInput
    """
    text = query.get("sort")
    if text is None:
        return order_of(())
    keys = [SortKey(name.removeprefix("-"), name.startswith("-")) for name in text.split(",")]
    errors = [
        _error("sort", f"{key.field!r} is not a field to sort by: there is {', '.join(SORTABLE)}")
        for key in keys
        if key.field not in SORTABLE
    ]
    if len({key.field for key in keys}) < len(keys):
        errors.append(_error("sort", "names a field more than once"))
    if len(keys) > MAX_SORT_KEYS:
        errors.append(_error("sort", f"at most {MAX_SORT_KEYS} fields may be named"))
    refuse(errors)
    return order_of(keys)


def _condition(name: str, value: str, others: Collection[str]) -> Condition:
    """Return one condition; raise ValueError saying what is wrong with it."""
    matched = _name.fullmatch(name)
    field = FIELDS.get(matched[1]) if matched else None
    if matched is None or field is None:
        known = ", ".join((*others, *FIELDS))
        raise ValueError(f"is not a known parameter; there is {known}, the last {len(FIELDS)} also as FIELD[operator]")
    op = matched[2] if matched[2] is not None else Op.EQ.value
    if op not in field.ops:
        raise ValueError(f"{field.name} knows the operators {', '.join(field.ops)}")
    return Condition(field.name, Op(op), _value(field, Op(op), value))


def _value(field: Field, op: Op, text: str) -> Any:
    if op == Op.EXISTS:
        return flag(text, op)
    read = READERS[field.kind]
    if op != Op.IN:
        return read(text, op)
    values = text.split(",")
    if len(values) > MAX_IN:
        raise ValueError(f"at most {MAX_IN} values may be given")
    return tuple(read(value, op) for value in values)


def _error(name: str, detail: str) -> FieldError:
    return FieldError(pointer=f"?{name}", detail=detail)


def refuse(errors: list[FieldError]) -> None:
    """Raise InvalidInput if there are errors."""
    if errors:
        raise InvalidInput(errors, "the query string breaks the rules in errors")
