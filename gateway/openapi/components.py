"""JSON Schemas of customers: as clients send them, and as they are stored and answered."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_args

from gateway.openapi.operation import Named
from gateway.openapi.schemas import CUST_ID_SCHEMA, PREFIX, body_schema, feature_schema
from gateway.schemas.customers import IF_REVISION, customer_schema, patch_schema
from gateway.services.customers.batches import MAX_ROWS
from gateway.services.customers.bulk_writes import RowStatus
from gateway.services.customers.customer import ASSIGNED, PENDING, SegmentStatus
from gateway.services.customers.query import Exactness
from shared.contract import MAX_BATCH
from shared.features import CUST_ID, FEATURES

Properties = Mapping[str, Any]


def reference(name: str) -> dict[str, Any]:
    """Return a reference to a schema by its name."""
    return {"$ref": PREFIX + name}


TOTALS: Properties = {
    "total": {"type": "integer", "description": "How many there are in all; only where `count` asks for it"},
    "total_kind": {"type": "string", "enum": list(get_args(Exactness)), "description": "How `total` was taken"},
}


def page_of(kind: type | str, more: Properties = MappingProxyType({})) -> Named:
    """Return the schema of a page of things of a type, or of those that a schema of `COMPONENTS` describes.

    Parameters
    ----------
    more : members that the page can have beside them.
    """
    name = kind if isinstance(kind, str) else kind.__name__
    cursor = {"type": ["string", "null"], "description": "The `cursor` of the next page; null on the last"}
    items = {"type": "array", "items": reference(name)}
    schema = _answered("A page", {"items": items, "next_cursor": cursor})
    schema["properties"] |= more
    return Named(f"{name}Page", schema, () if isinstance(kind, str) else (kind,))


def _answered(text: str, properties: Properties) -> dict[str, Any]:
    """Return the schema of an answer that has all these members."""
    return {"type": "object", "description": text, "properties": dict(properties), "required": list(properties)}


def _sent(text: str, schema: Any, **more: Any) -> dict[str, Any]:
    """Return the schema of a body, with members beyond those that `schema` checks."""
    found = body_schema(schema)
    return {"description": text, **found, "properties": {**found["properties"], **more}}


def _batch(name: str, most: int, text: str) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "maxItems": most, "items": reference(name), "description": text}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["customers"],
        "properties": {"customers": rows},
    }


def _time(text: str) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", "description": text}


_STORED: Properties = {
    CUST_ID: CUST_ID_SCHEMA,
    **{f.name: feature_schema(f, nullable=f.nullable) for f in FEATURES},
    "segment": {"anyOf": [reference("Assignment"), {"type": "null"}]},
    "segment_status": {
        "type": "string",
        "enum": list(get_args(SegmentStatus)),
        "description": f"`{PENDING}` while the model could not be asked; the segment then comes later, by itself",
    },
    "revision": {"type": "string", "description": "Changes with every change; the ETag without its quotation marks"},
    "created_at": _time("When the customer was stored first"),
    "updated_at": _time("When the data changed last; a new segment does not count"),
}
_DELETED: Properties = {
    "deleted_at": _time("When the customer was deleted"),
    "expires_at": _time("Until when it can be restored"),
}
_WARNINGS = {
    "type": "array",
    "items": reference("Finding"),
    "description": "What looks odd in the data; never a reason to refuse them",
}
_RESULT: Properties = {
    CUST_ID: {"type": ["string", "null"]},
    "status": {"type": "string", "enum": list(get_args(RowStatus))},
    "revision": {"type": ["string", "null"], "description": "The stored customer's; null for a rejected row"},
    "segment_status": {"type": ["string", "null"], "description": f"{ASSIGNED} or {PENDING}; null for a rejected row"},
    "warnings": _WARNINGS,
}
_KNOWN = {"type": "string", "description": "The revision that the stored customer must have"}

COMPONENTS: Mapping[str, dict[str, Any]] = {
    "NewCustomer": _sent("A customer as it is created", customer_schema()),
    "CustomerFeatures": _sent("All features of a customer; its id may be left out", customer_schema(id_required=False)),
    "CustomerPatch": _sent("A merge patch (RFC 7396): absent stays, null clears what may be null", patch_schema()),
    "BatchCustomer": _sent("A customer of a batch", customer_schema(), **{IF_REVISION: _KNOWN}),
    "CustomerBatch": _batch("BatchCustomer", MAX_ROWS, "A row that breaks a rule is rejected; the others are written"),
    "PredictionBatch": _batch(
        "CustomerFeatures", MAX_BATCH, "A row that breaks a rule is answered with an error; the others are predicted"
    ),
    "Customer": _answered("A stored customer", _STORED),
    "WrittenCustomer": _answered("A stored customer, and what looks odd in it", {**_STORED, "warnings": _WARNINGS}),
    "ListedCustomer": {**_answered("A stored customer, or what was asked for of it", _STORED), "required": []},
    "DeletedCustomer": _answered("A customer as it was when it was deleted", {**_STORED, **_DELETED}),
    "RowResult": {
        **_answered("What became of a row of a batch", {**_RESULT, "error": reference("Problem")}),
        "required": list(_RESULT),
    },
}
"""Schemas by name."""
