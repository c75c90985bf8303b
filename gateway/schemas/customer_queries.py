"""Values in a query string, by the kind of the field they are compared with. All raise ValueError in plain words."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar, get_args

from gateway.schemas.paging import DEFAULT_LIMIT, Cursors, load_limit
from gateway.services.customers.customer import SegmentStatus
from gateway.services.customers.query import (
    BY_ID,
    FIELDS,
    MEMBERS,
    SORTABLE,
    Condition,
    CustomerQuery,
    Exactness,
    Field,
    Filters,
    Kind,
    Op,
    Order,
    Position,
    SortKey,
    order_of,
)
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID, CUST_ID_RULE, cust_id_fault
from shared.problems import FieldError

Query = Iterable[tuple[str, str]]

_number = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_word = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_time = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_FLAGS = {"true": True, "false": False}
_STATUSES = get_args(SegmentStatus)
_TIME_RULE = "must be a time with its zone as in RFC 3339, such as 2026-01-31T12:00:00Z (write + as %2B)"


def number(text: str, _: Op) -> float:
    """Return a finite number, written as in JSON."""
    if not _number.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError("must be a number")
    return value


def cust_id(text: str, op: Op) -> str:
    """Return a CUST_ID; where it is only compared with, also what begins like one."""
    if op in (Op.EQ, Op.NE, Op.IN):
        if fault := cust_id_fault(text):
            raise ValueError(fault)
    elif not _word.fullmatch(text):
        raise ValueError(CUST_ID_RULE)
    return text


def name(text: str, _: Op) -> str:
    """Return the id of a segment or the name of a model version; there need not be one."""
    if not _word.fullmatch(text):
        raise ValueError("must be 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-'")
    return text


def flag(text: str, _: Op) -> bool:
    """Return true or false."""
    if text not in _FLAGS:
        raise ValueError("must be true or false")
    return _FLAGS[text]


def status(text: str, _: Op) -> str:
    """Return a segment status."""
    if text not in _STATUSES:
        raise ValueError(f"must be {' or '.join(_STATUSES)}")
    return text


def time(text: str, op: Op) -> datetime:
    """Return a time in UTC, without a zone, to the millisecond, as times are stored.

    A finer one is rounded so that the comparison with what is stored comes out the same: up for what is at least
    or less, down for the others.
    """
    found = _time.fullmatch(text)
    if not found:
        raise ValueError(_TIME_RULE)
    day, clock, fraction, zone = found.groups()
    digits = (fraction or "").ljust(9, "0")
    up = op in (Op.GTE, Op.LT) and digits[3:].strip("0") != ""
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}").astimezone(UTC).replace(tzinfo=None)
        return whole + timedelta(milliseconds=int(digits[:3]) + up)
    except (ValueError, OverflowError):
        raise ValueError(_TIME_RULE) from None


READERS: Mapping[Kind, Callable[[str, Op], Any]] = {
    Kind.ID: cust_id,
    Kind.NUMBER: number,
    Kind.NAME: name,
    Kind.FLAG: flag,
    Kind.STATUS: status,
    Kind.TIME: time,
}


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


EXPORT_FORMATS = ("csv", "ndjson", "parquet")
EXPORT_PARAMETERS = ("format", "fields")
EXPORT = (*EXPORT_PARAMETERS, *FIELDS)
"""The parameters of an export. The fields are filters, which may also be written FIELD[operator]."""


class ExportRequest(NamedTuple):
    """A kind of file (one of `EXPORT_FORMATS`), conditions on the customers in it, and which of their `MEMBERS`."""

    kind: str
    filters: Filters
    members: Sequence[str]


def load_export(query: Query, preferred: Callable[[], str]) -> ExportRequest:
    """Return what is asked for; the kind of file is the `preferred` one where the query names none.

    Raises
    ------
    InvalidInput
    """
    pairs = list(query)
    named = dict(pairs)
    kind = named["format"] if "format" in named else preferred()
    if kind not in EXPORT_FORMATS:
        error = FieldError(pointer="?format", detail=f"must be {', '.join(EXPORT_FORMATS)}")
        raise InvalidInput([error], "the query string breaks the rules in errors")
    return ExportRequest(kind, load_filters(pairs, EXPORT_PARAMETERS), load_fields(pairs) or MEMBERS)
