"""The parameters by which customers are filtered, sorted and cut to size, from the fields that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from gateway.controllers.service import FILES
from gateway.openapi.operation import Schema
from gateway.openapi.schemas import CUST_ID_SCHEMA
from gateway.routes import Route
from gateway.schemas.customer_queries import MAX_CONDITIONS, MAX_IN, MAX_SORT_KEYS
from gateway.schemas.paging import DEFAULT_LIMIT, MAX_LIMIT
from gateway.schemas.queries import VERSION_OR_ACTIVE
from gateway.services.customers.bulk_writes import Mode
from gateway.services.customers.customer import ASSIGNED, PENDING, SegmentStatus
from gateway.services.customers.query import FIELDS, MEMBERS, SORTABLE, Exactness, Field, Kind, Op
from shared.features import BY_NAME, CUST_ID
from shared.model_contract import ACTIVE

_WORD = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$", "minLength": 1, "maxLength": 64}
_VALUES: Mapping[Kind, Schema] = {
    Kind.ID: _WORD,
    Kind.NUMBER: {"type": "number"},
    Kind.NAME: _WORD,
    Kind.FLAG: {"type": "boolean"},
    Kind.STATUS: {"type": "string", "enum": list(get_args(SegmentStatus))},
    Kind.TIME: {"type": "string", "format": "date-time"},
}
_LISTED: Mapping[Kind, str] = {Kind.NUMBER: r"-?\d+(\.\d+)?([eE][+-]?\d+)?"}
_WORDS: Mapping[Op, str] = {
    Op.EQ: "is this",
    Op.NE: "is not this, or is null",
    Op.GT: "is greater than this",
    Op.GTE: "is at least this",
    Op.LT: "is less than this",
    Op.LTE: "is at most this",
    Op.IN: f"is one of these, with commas between them; up to {MAX_IN}",
    Op.EXISTS: "is not null, or null",
    Op.PREFIX: "begins with this",
}
_MEANINGS = {
    CUST_ID: "The id",
    "segment": "The id of the segment",
    "rival": "The id of the segment that the customer comes closest to",
    "confidence": "How sure the segment is, 0 to 1,",
    "borderline": "Whether the confidence is below 0.9",
    "model_version": "The version of the model that gave the segment",
    "assigned_at": "When the segment was given",
    "segment_status": f"Whether there is a segment: `{ASSIGNED}` or `{PENDING}`",
    "created_at": "When the customer was stored first",
    "updated_at": "When the data changed last",
}

CONDITIONS = f"All conditions must hold; there may be up to {MAX_CONDITIONS}."


def _one_of(names: tuple[str, ...]) -> str:
    return f"({'|'.join(names)})"


SELECTION: Mapping[str, Schema] = {
    "sort": {
        "description": f"Up to {MAX_SORT_KEYS} of {', '.join(SORTABLE)}, with commas between them; `-` before one for "
        "the greatest first. CUST_ID decides at last.",
        "schema": {
            "type": "string",
            "pattern": f"^-?{_one_of(SORTABLE)}(,-?{_one_of(SORTABLE)}){{0,{MAX_SORT_KEYS - 1}}}$",
            "default": CUST_ID,
        },
    },
    "fields": {
        "description": f"Only these members, with commas between them, and CUST_ID: {', '.join(MEMBERS)}",
        "schema": {"type": "string", "pattern": f"^{_one_of(MEMBERS)}(,{_one_of(MEMBERS)})*$"},
    },
    "count": {
        "description": "Say how many customers there are in all: counted, or only estimated, which is always fast",
        "schema": {"type": "string", "enum": list(get_args(Exactness))},
    },
}
"""Parameters beside the conditions."""


def filters() -> Iterator[tuple[str, Schema]]:
    """Yield every condition there is, as the name and description of a parameter."""
    for field in FIELDS.values():
        for op in field.ops:
            yield (field.name if op == Op.EQ else f"{field.name}[{op}]"), _described(field, op)


def _described(field: Field, op: Op) -> dict[str, Any]:
    feature = BY_NAME.get(field.name)
    meaning = f"{feature.description} ({feature.unit})" if feature else _MEANINGS[field.name]
    return {"description": f"{meaning} {_WORDS[op]}", "schema": _schema(field, op)}


def _schema(field: Field, op: Op) -> Schema:
    if op == Op.EXISTS:
        return {"type": "boolean"}
    exact = field.kind == Kind.ID and op in (Op.EQ, Op.NE)
    value = (
        {name: part for name, part in CUST_ID_SCHEMA.items() if name != "description"} if exact else _VALUES[field.kind]
    )
    if op != Op.IN:
        return value
    one = _LISTED.get(field.kind, "[A-Za-z0-9_.-]{1,64}")
    return {"type": "string", "pattern": f"^{one}(,{one}){{0,{MAX_IN - 1}}}$"}


_VARIABLE = re.compile(r"<(?:(?P<converter>\w+)(?:\((?P<choices>[^)]*)\))?:)?(?P<name>\w+)>")


def address(rule: str) -> str:
    """Return the address of a route as OpenAPI writes it: ``/models/{version}`` for ``/models/<version:version>``."""
    return _VARIABLE.sub(r"{\g<name>}", rule)


def _text(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


def _whole(description: str, least: int, most: int, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer", "minimum": least, "maximum": most, **schema}}


def _flag(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "boolean", "default": False}}


PATH: Mapping[str, Schema] = {
    "cust_id": {"description": CUST_ID_SCHEMA["description"], "schema": CUST_ID_SCHEMA},
    "segment_id": _text("The permanent id of a segment, such as seg-01"),
    "version": _text(
        f"The name of a model version, or `{ACTIVE}` for the active one", pattern=f"^{VERSION_OR_ACTIVE}$"
    ),
    "erasure_id": _text("The id of an erasure"),
    "key_id": _text("The public id of an API key: what follows csk_ in it, up to the next underscore"),
    "file": _text("The name of a file of the page", enum=sorted(FILES)),
    "import_id": _text("The id of an import"),
    "training_id": _text("The id of a training"),
    "name": _text("The name of a picture, such as elbow"),
    "kind": _text("Vector or pixels", enum=["svg", "png"]),
}
"""The variable parts of addresses."""

QUERY: Mapping[str, Schema] = {
    "erase": _flag("Remove the customer for good, wherever anything is kept about it, instead of deleting it"),
    "dry_run": _flag("Do everything but write: the counts say what would happen"),
    "mode": _text(
        "What becomes of customers that are stored already: `insert` leaves them as they are",
        enum=[mode.value for mode in Mode],
        default=Mode.UPSERT.value,
    ),
    "limit": _whole("Most entries on the page", 1, MAX_LIMIT, default=DEFAULT_LIMIT),
    "cursor": _text("`next_cursor` of the page before, unchanged; the first page without one"),
    "explain": _flag("Say why: what speaks for the segment and what for the rival, and what would change it"),
    "version": _text("The version that predicts; the active one unless given", pattern=f"^{VERSION_OR_ACTIVE}$"),
    "format": _text("The figures, or a picture of them", enum=["json", "svg", "png"], default="json"),
    "k": _whole("Take this number of segments instead of choosing it; not together with k_min and k_max", 2, 20),
    "k_min": _whole("Least number of segments to try", 2, 20, default=3),
    "k_max": _whole("Greatest number of segments to try", 2, 20, default=8),
    "seed": _whole("Random seed", 0, 2**32 - 1, default=0),
    "activate": _flag("Make the new version the active one if the gate lets it pass"),
    "by": _text("Who asks", maxLength=200, default=""),
    "note": _text("Why, or where the customers come from", maxLength=1000, default=""),
    **SELECTION,
    **dict(filters()),
}
"""The parameters of query strings; where one means something else, the operation says so."""

_UNTOLD: Schema = {"schema": {"type": "string"}}


def of_path(rule: str) -> list[dict[str, Any]]:
    """Return the parameters for the variable parts of a route's address."""
    names = [found["name"] for found in _VARIABLE.finditer(rule)]
    return [{"name": name, "in": "path", "required": True, **PATH.get(name, _UNTOLD)} for name in names]


def of_query(name: str, told: Mapping[str, Schema]) -> dict[str, Any]:
    """Return a parameter of a query string; what an operation tells of it comes before what is said of it elsewhere."""
    return {"name": name, "in": "query", "required": False, **(told.get(name) or QUERY.get(name, _UNTOLD))}


def names_of_query(route: Route) -> Iterator[str]:
    """Yield the names of a route's parameters; a field to filter by has one for every way to compare it."""
    by_field = set(FIELDS) <= set(route.parameters)
    yield from (name for name in route.parameters if not (by_field and name in FIELDS))
    if by_field:
        yield from (name for name, _ in filters())
