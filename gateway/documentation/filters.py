"""The parameters by which customers are filtered, sorted and cut to size, from the fields that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from gateway.documentation.bodies import CUST_ID_SCHEMA
from gateway.documentation.operation import Schema
from gateway.schemas.customer_query import MAX_CONDITIONS, MAX_IN, MAX_SORT_KEYS
from gateway.services.customer import ASSIGNED, PENDING
from gateway.services.customer_query import FIELDS, MEMBERS, SORTABLE, Exactness, Field, Kind, Op
from shared.features import BY_NAME, CUST_ID

_WORD = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$", "minLength": 1, "maxLength": 64}
_VALUES: Mapping[Kind, Schema] = {
    Kind.ID: _WORD,
    Kind.NUMBER: {"type": "number"},
    Kind.NAME: _WORD,
    Kind.FLAG: {"type": "boolean"},
    Kind.STATUS: {"type": "string", "enum": [ASSIGNED, PENDING]},
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
