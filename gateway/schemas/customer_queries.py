"""The query string of lists and exports of customers: conditions on fields, order, members, page and total."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, get_args

from gateway.schemas.paging import DEFAULT_LIMIT, LIMIT, SIGNED_CURSOR, Cursors
from gateway.schemas.queries import (
    AS_OF,
    CUST_ID_SCHEMA,
    DRY_RUN,
    INVALID_QUERY,
    JSONSchema,
    Parameter,
    Values,
    choice,
    fault,
    flag,
    read_flag,
    read_time,
    refused,
    whole,
)
from gateway.services.customers.customer import ASSIGNED, PENDING
from gateway.services.customers.query import (
    BY_ID,
    FIELDS,
    MEMBERS,
    SORTABLE,
    Condition,
    CustomerQuery,
    Exactness,
    Field,
    FieldKind,
    Filters,
    Op,
    Order,
    Position,
    SortKey,
    order_of,
)
from gateway.services.errors import InvalidInput
from shared.features import BY_NAME, CUST_ID, CUST_ID_RULE, cust_id_fault
from shared.problems import FieldError

MAX_CONDITIONS: Final = 20
MAX_IN: Final = 100
MAX_SORT_KEYS: Final = 4

# ---- conditions -------------------------------------------------------------------------------------------------

_number = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_word = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _read_number(text: str, _: Op) -> float:
    """Return a finite number, written as in JSON."""
    if not _number.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError("must be a number")
    return value


def _read_id(text: str, op: Op) -> str:
    """Return a CUST_ID; where it is only compared with, also what begins like one."""
    if op in (Op.EQ, Op.NE, Op.IN):
        if fault := cust_id_fault(text):
            raise ValueError(fault)
    elif not _word.fullmatch(text):
        raise ValueError(CUST_ID_RULE)
    return text


def _read_name(text: str, _: Op) -> str:
    """Return the id of a segment or the name of a model version; there need not be one."""
    if not _word.fullmatch(text):
        raise ValueError("must be 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-'")
    return text


def _read_status(text: str, _: Op) -> str:
    if text not in (PENDING, ASSIGNED):
        raise ValueError(f"must be {PENDING} or {ASSIGNED}")
    return text


_READERS: Mapping[FieldKind, Callable[[str, Op], Any]] = {
    FieldKind.ID: _read_id,
    FieldKind.NUMBER: _read_number,
    FieldKind.NAME: _read_name,
    FieldKind.FLAG: lambda text, _: read_flag(text),
    FieldKind.STATUS: _read_status,
    FieldKind.TIME: read_time,
}


def _condition(field: Field, op: Op, text: str) -> Condition:
    if op == Op.EXISTS:
        return Condition(field.name, op, read_flag(text))
    read = _READERS[field.kind]
    if op != Op.IN:
        return Condition(field.name, op, read(text, op))
    values = text.split(",")
    if len(values) > MAX_IN:
        raise ValueError(f"at most {MAX_IN} values may be given")
    return Condition(field.name, op, tuple(read(value, op) for value in values))


_WORD: JSONSchema = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$", "minLength": 1, "maxLength": 64}
_SCHEMAS: Mapping[FieldKind, JSONSchema] = {
    FieldKind.ID: _WORD,
    FieldKind.NUMBER: {"type": "number"},
    FieldKind.NAME: _WORD,
    FieldKind.FLAG: {"type": "boolean"},
    FieldKind.STATUS: {"type": "string", "enum": [ASSIGNED, PENDING]},
    FieldKind.TIME: {"type": "string", "format": "date-time"},
}
_LISTED: Mapping[FieldKind, str] = {FieldKind.NUMBER: r"-?\d+(\.\d+)?([eE][+-]?\d+)?"}
_WORDS: Mapping[Op, str] = {
    Op.EQ: "is this",
    Op.NE: "is not this, or is null",
    Op.GT: "is greater than this",
    Op.GTE: "is at least this",
    Op.LT: "is less than this",
    Op.LTE: "is at most this",
    Op.IN: f"is one of these, separated by commas; up to {MAX_IN}",
    Op.EXISTS: "is not null, or null",
    Op.PREFIX: "begins with this",
}
_MEANINGS = {
    CUST_ID: "The id",
    "segment": "The id of the segment",
    "rival": "The id of the segment that the customer comes closest to",
    "confidence": "The confidence of the segment, 0 to 1,",
    "borderline": "Whether the confidence is below 0.9",
    "model_version": "The version of the model that assigned the segment",
    "assigned_at": "When the segment was assigned",
    "segment_status": f"Whether there is a segment: `{ASSIGNED}` or `{PENDING}`",
    "created_at": "When the customer was first stored",
    "updated_at": "When the data last changed",
}


def _schema(field: Field, op: Op) -> JSONSchema:
    if op == Op.EXISTS:
        return {"type": "boolean"}
    exact = field.kind == FieldKind.ID and op in (Op.EQ, Op.NE)
    of_id = {name: part for name, part in CUST_ID_SCHEMA.items() if name != "description"}
    if op != Op.IN:
        return of_id if exact else _SCHEMAS[field.kind]
    one = _LISTED.get(field.kind, "[A-Za-z0-9_.-]{1,64}")
    return {"type": "string", "pattern": f"^{one}(,{one}){{0,{MAX_IN - 1}}}$"}


def _conditions() -> Iterator[Parameter]:
    """Yield a parameter for every way to compare every field."""
    for field in FIELDS.values():
        feature = BY_NAME.get(field.name)
        meaning = f"{feature.description} ({feature.unit})" if feature else _MEANINGS[field.name]
        for op in field.ops:
            long = f"{field.name}[{op}]"
            name, alias = (field.name, long) if op == Op.EQ else (long, None)
            read = partial(_condition, field, op)
            yield Parameter(name, read, f"{meaning} {_WORDS[op]}", _schema(field, op), alias=alias)


CONDITIONS: tuple[Parameter, ...] = tuple(_conditions())
"""``FIELD=value`` and ``FIELD[op]=value``, all of which must hold."""
CONDITIONS_RULE: Final = f"All filters must match; up to {MAX_CONDITIONS} may be given."


def filters_of(values: Values) -> Filters:
    """Return the conditions among the parameters.

    Raises
    ------
    InvalidInput
        when there are more than `MAX_CONDITIONS`.
    """
    conditions = tuple(value for value in values.values() if isinstance(value, Condition))
    if len(conditions) > MAX_CONDITIONS:
        detail = f"at most {MAX_CONDITIONS} conditions may be given"
        raise InvalidInput([FieldError(pointer="", detail=detail)], INVALID_QUERY)
    return conditions


class BulkDeleteRequest(NamedTuple):
    """Which customers to delete, and how many that are as far as the caller knows; None for a dry run."""

    filters: Filters
    confirmed: int | None


def bulk_delete_request(values: Values) -> BulkDeleteRequest:
    """Return whom to delete.

    Raises
    ------
    InvalidInput
        for too many conditions; for none, or for `EVERY` beside some; or without a number that confirms it.
    """
    filters = filters_of(values)
    if not filters and not values["all"]:
        raise refused("all", "must be true to delete every customer; otherwise give a filter, as for a list")
    if filters and values["all"]:
        raise refused("all", "contradicts the filters")
    if not values["dry_run"] and "confirm" not in values:
        raise refused("confirm", "is missing: how many customers match, as dry_run=true tells")
    return BulkDeleteRequest(filters, None if values["dry_run"] else values["confirm"])


# ---- order, members, total --------------------------------------------------------------------------------------


def _one_of(names: tuple[str, ...]) -> str:
    return f"({'|'.join(names)})"


def _read_order(text: str) -> Order:
    """Return the order; ``-`` before a field means descending."""
    keys = [SortKey(name.removeprefix("-"), name.startswith("-")) for name in text.split(",")]
    for key in keys:
        if key.field not in SORTABLE:
            raise ValueError(f"{key.field!r} is not a field to sort by; these are: {', '.join(SORTABLE)}")
    if len({key.field for key in keys}) < len(keys):
        raise ValueError("names a field more than once")
    if len(keys) > MAX_SORT_KEYS:
        raise ValueError(f"at most {MAX_SORT_KEYS} fields may be named")
    return order_of(keys)


def _read_members(text: str) -> tuple[str, ...]:
    """Return which members of a customer are wanted, CUST_ID in any case."""
    names = text.split(",")
    for name in names:
        if name not in MEMBERS:
            raise ValueError(f"{name!r} is not a member of a customer; these are: {', '.join(MEMBERS)}")
    return tuple(member for member in MEMBERS if member == CUST_ID or member in names)


SORT = Parameter(
    "sort",
    _read_order,
    f"Up to {MAX_SORT_KEYS} of {', '.join(SORTABLE)}, separated by commas; a leading `-` sorts descending. "
    "Ties are broken by CUST_ID.",
    {
        "type": "string",
        "pattern": f"^-?{_one_of(SORTABLE)}(,-?{_one_of(SORTABLE)}){{0,{MAX_SORT_KEYS - 1}}}$",
        "default": CUST_ID,
    },
    BY_ID,
)
FIELDS_SHOWN = Parameter(
    "fields",
    _read_members,
    f"Return only these members, separated by commas, and CUST_ID: {', '.join(MEMBERS)}",
    {"type": "string", "pattern": f"^{_one_of(MEMBERS)}(,{_one_of(MEMBERS)})*$"},
)


def _read_columns(text: str) -> tuple[str, ...]:
    """Return which columns a file for people has, in their order."""
    names = text.split(",")
    for name in names:
        if name not in FIELDS:
            raise ValueError(f"{name!r} is not a column; these are: {', '.join(FIELDS)}")
    return tuple(dict.fromkeys(names))


COLUMNS_SHOWN = Parameter(
    "columns",
    _read_columns,
    "Make a CSV for people: these columns in this order, headed by their labels, with segments by their names. Not "
    f"together with `fields` or another `format`; it cannot be imported again. Any of {', '.join(FIELDS)}, "
    "separated by commas",
    {"type": "string", "pattern": f"^{_one_of(tuple(FIELDS))}(,{_one_of(tuple(FIELDS))})*$"},
)
COUNT = choice(
    "count",
    "Return the total number of customers: counted exactly, or estimated, which is always fast",
    get_args(Exactness),
)
EXPORT_FORMATS: Final = ("csv", "ndjson", "parquet")
EXPORT_FORMAT = choice(
    "format", "The file format; by default the one preferred by Accept, or the first", EXPORT_FORMATS
)

EVERY = flag("all", "Delete every customer; only without filters, and needed there")
CONFIRM = whole(
    "confirm", "How many customers match, as `dry_run=true` tells; none is deleted where others do", 0, 99_999_999
)
BULK_DELETE = (DRY_RUN, CONFIRM, EVERY, *CONDITIONS)

LIST = (LIMIT, SIGNED_CURSOR, SORT, FIELDS_SHOWN, COUNT, AS_OF, *CONDITIONS)
MEMBERS_LIST = tuple(parameter for parameter in LIST if parameter.name.partition("[")[0] != "segment")
"""Of the list of a segment's customers."""
EXPORT = (EXPORT_FORMAT, FIELDS_SHOWN, COLUMNS_SHOWN, *CONDITIONS)


def columns_for_people(values: Values) -> Sequence[str] | None:
    """Return the columns of an export for people; None for one for programs.

    Raises
    ------
    InvalidInput
        for columns beside what is for programs.
    """
    columns: Sequence[str] | None = values.get("columns")
    if columns and "fields" in values:
        raise refused("columns", "contradicts fields: the one is for people, the other for programs")
    if columns and values.get("format") not in (None, "csv"):
        raise refused("columns", "makes a CSV file only")
    return columns


# ---- a page of the list -----------------------------------------------------------------------------------------


class ListRequest(NamedTuple):
    """A page of customers, whether to count all that match, and which list it is a page of (`Cursors`)."""

    query: CustomerQuery
    total: Exactness | None
    list_id: str


FIRST_PAGE = ListRequest(CustomerQuery(limit=DEFAULT_LIMIT), None, "")
"""What a request without parameters wants."""


def list_request(values: Values, cursors: Cursors, conditions: Filters = ()) -> ListRequest:
    """Return which page is wanted, of the customers for whom the `conditions` hold, too.

    Raises
    ------
    InvalidInput
        for too many conditions, or a cursor that is not one of this list.
    """
    filters, order = (*filters_of(values), *conditions), values["sort"]
    list_id = _list_id(filters, order)
    after: Position | None = None
    if (cursor := values.get("cursor")) is not None:
        after = tuple(map(_in_memory, order, cursors.read(cursor, list_id)))
    query = CustomerQuery(filters, order, after, values["limit"], values.get("fields"))
    return ListRequest(query, values.get("count"), list_id)


class PastMembersRequest(NamedTuple):
    """A page of the customers who were in a segment at a time, and which list it is a page of (`Cursors`)."""

    segment: str
    at: datetime
    after: str | None
    limit: int
    fields: tuple[str, ...] | None
    list_id: str


def past_members_request(values: Values, cursors: Cursors, conditions: Filters = ()) -> PastMembersRequest:
    """Return which page of former members is wanted; the `conditions` must hold, too.

    Raises
    ------
    InvalidInput
        unless it is asked by one segment alone, in CUST_ID order, or for a cursor that is not one of this list.
    """
    filters = (*filters_of(values), *conditions)
    segments = [c.value for c in filters if (c.field, c.op) == ("segment", Op.EQ)]
    errors = [
        fault(c.field, "cannot go with as_of: but for segments, all is known as it is now only")
        for c in filters
        if (c.field, c.op) != ("segment", Op.EQ)
    ]
    if len(segments) != 1:
        errors.append(fault("as_of", "needs one segment=ID: the members of a segment are listed as of then"))
    if values["sort"] != BY_ID:
        errors.append(fault("sort", f"must be {CUST_ID} with as_of"))
    if "count" in values:
        errors.append(fault("count", "cannot go with as_of: GET /segments?as_of= has the size of the segment then"))
    if errors:
        raise InvalidInput(errors, INVALID_QUERY)
    at: datetime = values["as_of"]
    list_id = _digest((segments[0], at))
    after = cursors.read(values["cursor"], list_id)[0] if "cursor" in values else None
    return PastMembersRequest(segments[0], at, after, values["limit"], values.get("fields"), list_id)


def _in_memory(key: SortKey, value: Any) -> Any:
    """Return a cursor's value as customers have it: a cursor is JSON, which knows no times."""
    is_time = FIELDS[key.field].kind == FieldKind.TIME
    return datetime.fromisoformat(value) if is_time and value is not None else value


def _list_id(filters: Filters, order: Order) -> str:
    """Return what tells lists apart: a cursor holds only in the list that it was made for."""
    if not filters and order == BY_ID:
        return ""
    wanted = sorted((c.field, c.op.value, repr(c.value)) for c in filters)
    return _digest((wanted, order))


def _digest(wanted: object) -> str:
    return hashlib.blake2b(repr(wanted).encode(), digest_size=9).hexdigest()
