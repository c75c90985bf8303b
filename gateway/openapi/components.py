"""JSON Schemas that have a name in the document, and are not made from a type: above all, customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from gateway.openapi.schemas import PREFIX, body_schema, feature_schema
from gateway.routes.operation import PageOf
from gateway.schemas.api_keys import NewApiKeySchema, RotationSchema
from gateway.schemas.customers import IF_REVISION, customer_schema, patch_schema
from gateway.schemas.queries import CUST_ID_SCHEMA
from gateway.schemas.webhooks import NewWebhookSchema, ReplaySchema, WebhookPatchSchema, WebhookRotationSchema
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


_TOTALS: Properties = {
    "total": {"type": "integer", "description": "How many there are in all; present if `count` asks for it"},
    "total_kind": {"type": "string", "enum": list(get_args(Exactness)), "description": "How `total` was determined"},
}


_PAST: Properties = {
    "as_of": {
        "type": "string",
        "format": "date-time",
        "description": "Whose members these are; present if it is asked for",
    },
    "features_as_of": {
        "enum": ["now"],
        "description": "Of when all members of the customers are; present with `as_of`",
    },
}


def page_of(page: PageOf) -> tuple[str, dict[str, Any]]:
    """Return the name and the schema of a page of things of a type, or of those that a component describes."""
    name = page.kind if isinstance(page.kind, str) else page.kind.__name__
    cursor = {"type": ["string", "null"], "description": "The `cursor` of the next page; null on the last page"}
    items = {"type": "array", "items": reference(name)}
    schema = _answered("A page", {"items": items, "next_cursor": cursor})
    schema["properties"] |= _TOTALS if page.counted else {}
    schema["properties"] |= _PAST if page.past else {}
    return f"{name}Page", schema


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
        "description": f"`{PENDING}` while the model service could not be asked; the segment is then assigned later",
    },
    "revision": {"type": "string", "description": "Changes with every change; the ETag without its quotation marks"},
    "seq": {
        "type": "integer",
        "minimum": 0,
        "description": "Counts the changes of the customer in the change log, since its CUST_ID was last created",
    },
    "created_at": _time("When the customer was first stored"),
    "updated_at": _time("When the data last changed; a new segment does not count"),
}
_DELETED: Properties = {
    "deleted_at": _time("When the customer was deleted"),
    "expires_at": _time("Until when it can be restored"),
}
_WARNINGS = {
    "type": "array",
    "items": reference("Finding"),
    "description": "Findings about the data; never a reason to refuse them",
}
_COUNTS = get_args(RowStatus)
_RESULT: Properties = {
    CUST_ID: {"type": ["string", "null"]},
    "status": {"type": "string", "enum": list(get_args(RowStatus))},
    "revision": {"type": ["string", "null"], "description": "The stored customer's; null for a rejected row"},
    "segment_status": {"type": ["string", "null"], "description": f"{ASSIGNED} or {PENDING}; null for a rejected row"},
    "warnings": _WARNINGS,
}


def _text(text: str, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "description": text, **more}


def _clearable(text: str, most: int) -> dict[str, Any]:
    return {"type": ["string", "null"], "minLength": 1, "maxLength": most, "description": text}


def _order(text: str, **members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "description": text, "properties": members}


_REASON, _BY = _text("Why", 1_000, default=""), _text("Who", 200, default="unknown")
_FORCE = {
    "type": "boolean",
    "default": False,
    "description": "Activate it even if it does not pass the gate; requires a reason",
}
_REASON_IF_FORCED = {
    "if": {"required": ["force"], "properties": {"force": {"const": True}}},
    "then": {"required": ["reason"], "properties": {"reason": {"pattern": r"\S"}}},
}
ORDERS: Mapping[str, dict[str, Any]] = {
    "Rollback": _order("Why, and who", reason=_REASON, by=_BY),
    "ActivationOrder": _order("Why, who, and whether to override the gate", reason=_REASON, by=_BY, force=_FORCE)
    | _REASON_IF_FORCED,
    "SegmentLabel": _order(
        "The name, description, owner and actions of a segment; null clears, and what follows by rule comes back",
        name=_clearable("What the segment is called; one line with a letter or digit in it", 80),
        description=_clearable("What it is", 2_000),
        owner=_clearable("Who is responsible for it", 200),
        actions={
            "type": ["array", "null"],
            "items": _text("One line", 200, minLength=1),
            "maxItems": 10,
            "description": "What to do for its customers, the most promising first",
        },
        if_labelled_at={
            "type": ["string", "null"],
            "maxLength": 200,
            "description": "The `labelled_at` that the segment must have; another is refused with `label_changed`",
        },
        by=_BY,
    ),
}
"""What the model service takes as a decision about a model or a segment. It judges these bodies and the gateway passes
them on, so that its own schemas are the source; a test compares both."""
_ONE_EXPIRY = {"not": {"required": ["expires_in_days", "expires_at"]}}

_KNOWN = {"type": "string", "description": "The revision that the stored customer must have"}

COMPONENTS: Mapping[str, dict[str, Any]] = {
    "NewCustomer": _sent("A customer as it is created", customer_schema()),
    "CustomerFeatures": _sent("All features of a customer; the id may be omitted", customer_schema(id_required=False)),
    "CustomerPatch": _sent("A merge patch (RFC 7396): absent members stay, null clears a nullable one", patch_schema()),
    "BatchCustomer": _sent("A customer of a batch", customer_schema(), **{IF_REVISION: _KNOWN}),
    "CustomerBatch": _batch("BatchCustomer", MAX_ROWS, "Invalid rows are rejected; the others are written"),
    "PredictionBatch": _batch("CustomerFeatures", MAX_BATCH, "Invalid rows get an error; the others are predicted"),
    "Customer": _answered("A stored customer", _STORED),
    "WrittenCustomer": _answered("A stored customer, with findings about its data", {**_STORED, "warnings": _WARNINGS}),
    "ListedCustomer": {
        **_answered("A stored customer, or the members of it that were requested", _STORED),
        "required": [],
    },
    "DeletedCustomer": _answered("A customer as it was when it was deleted", {**_STORED, **_DELETED}),
    "RowResult": {
        **_answered("The result of a row of a batch", {**_RESULT, "error": reference("Problem")}),
        "required": list(_RESULT),
    },
    "BatchResult": {
        "type": "object",
        "required": ["results", *_COUNTS],
        "properties": {
            "results": {"type": "array", "items": reference("RowResult")},
            **{name: {"type": "integer"} for name in _COUNTS},
        },
    },
    "NewApiKeyOrder": body_schema(NewApiKeySchema()) | _ONE_EXPIRY,
    "RotationOrder": body_schema(RotationSchema()) | _ONE_EXPIRY,
    "NewWebhookOrder": body_schema(NewWebhookSchema()),
    "WebhookPatch": body_schema(WebhookPatchSchema()),
    "WebhookRotation": body_schema(WebhookRotationSchema()),
    "WebhookReplay": body_schema(ReplaySchema()),
    "Index": {
        "type": "object",
        "required": ["service", "links"],
        "properties": {
            "service": {"type": "string"},
            "links": {"type": "object", "additionalProperties": {"type": "string", "format": "uri-reference"}},
        },
    },
    "Liveness": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
    **ORDERS,
}
"""Schemas by name."""
