"""What the OpenAPI text says about analyses."""

from __future__ import annotations

from typing import Any

from model_service.api.documentation import problems
from model_service.api.schemas import answer_model
from shared.contract import MAX_COLUMNAR
from shared.features import CUST_ID, INPUTS
from shared.model_contract import ACTIVE, NDJSON, Drift, Preview

_block = {
    "type": "string",
    "description": f'Each line is {{"columns": {{FEATURE: [...]}}, "ids": [...]}} for at most {MAX_COLUMNAR} '
    f"customers; ids ({CUST_ID}) are optional. Features: {', '.join(f.name for f in INPUTS)}",
}
_request: dict[str, Any] = {
    "parameters": [
        {
            "name": "version",
            "in": "path",
            "required": True,
            "description": f"A stored version, or {ACTIVE}",
            "schema": {"type": "string"},
        }
    ],
    "requestBody": {"required": True, "content": {NDJSON: {"schema": _block}}},
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
