"""What the OpenAPI text says about analyses."""

from __future__ import annotations

from typing import Any

from model_service.api.documentation import COLUMNS, VERSION, problems
from model_service.api.schemas import answer_model
from shared.contract import MAX_COLUMNAR
from shared.features import CUST_ID, CUST_ID_PATTERN
from shared.model_contract import NDJSON, Drift, Preview

_block = {
    "type": "object",
    "description": f"One line: at most {MAX_COLUMNAR} customers, in columns of the same length",
    "additionalProperties": False,
    "required": ["columns"],
    "properties": {
        "columns": COLUMNS,
        "ids": {
            "type": "array",
            "description": f"The customers' {CUST_ID}",
            "items": {"type": "string", "pattern": f"^{CUST_ID_PATTERN}$"},
        },
    },
}
_blocks = {"type": "array", "description": "Each element on a line of its own, without brackets", "items": _block}
_request: dict[str, Any] = {
    "parameters": [VERSION],
    "requestBody": {"required": True, "content": {NDJSON: {"schema": _blocks}}},
}
_REFUSALS = {
    "s400": "A line is not JSON; the detail has its number",
    "s404": "No version with this name is stored",
    "s408": "The client sent nothing for too long",
    "s413": "A line is too long",
    "s415": f"Body is not {NDJSON}",
    "s422": "Values that are not allowed, each with a JSON pointer into the line whose number the detail has",
    "s503": "No model is loaded, or too many analyses are running",
}

PREVIEW: dict[str, Any] = {
    "summary": "Say which customers move if this version replaces the active one",
    "response_model": answer_model(Preview),
    "openapi_extra": _request,
    "responses": problems(**_REFUSALS, s409="The version cannot be served"),
}
DRIFT: dict[str, Any] = {
    "summary": "Say whether customers are still those that this version was trained on",
    "response_model": answer_model(Drift),
    "openapi_extra": _request,
    "responses": problems(**_REFUSALS, s409="The version cannot be served, or is too old to know its training data"),
}
