"""What the OpenAPI text says about each route. Answers are dumped as they are; these models only describe them."""

from __future__ import annotations

from typing import Any, cast

from model_service.api.customers import CustomerFeatures
from model_service.api.schemas import answer_model
from shared import contract
from shared.features import INPUTS
from shared.model_contract import ACTIVE
from shared.problems import MEDIA_TYPE, Problem


def self_contained(schema: dict[str, Any]) -> dict[str, Any]:
    """Put definitions where they are referred to: inside of an OpenAPI document the references would lead nowhere."""
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            name = value.get("$ref", "").removeprefix("#/$defs/")
            return resolved(definitions[name]) if name else {key: resolved(part) for key, part in value.items()}
        return [resolved(part) for part in value] if isinstance(value, list) else value

    return cast(dict[str, Any], resolved(schema))


def schema_of(shape: type[Any]) -> dict[str, Any]:
    """Return the schema of a TypedDict of the wire contract, complete in itself."""
    return self_contained(answer_model(shape).model_json_schema())


_customer = CustomerFeatures.model_json_schema()
_problem_schema = schema_of(Problem)
COLUMNS = {
    "type": "object",
    "additionalProperties": False,
    "required": [f.name for f in INPUTS if not f.nullable],
    "properties": {
        name: {"type": "array", "maxItems": contract.MAX_COLUMNAR, "items": cell}
        for name, cell in _customer["properties"].items()
    },
}
_customers = {
    "type": "array",
    "maxItems": contract.MAX_BATCH,
    "items": {
        "description": "What is no such customer is answered with an error in its place",
        "anyOf": [_customer, {}],
    },
}


def accepts(schema: dict[str, Any], required: bool = True) -> dict[str, Any]:
    """Return how OpenAPI says that a route takes a JSON body of this schema."""
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def _object_with(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": [name], "properties": {name: schema}}


def problems(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI says that a route may answer a problem, given as ``s404="No such thing"``."""
    return {
        int(status.removeprefix("s")): {"description": text, "content": {MEDIA_TYPE: {"schema": _problem_schema}}}
        for status, text in descriptions.items()
    }


VERSION_PATTERN = "[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"
VERSION: dict[str, Any] = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": f"A stored version, or {ACTIVE}",
    "schema": {"type": "string", "pattern": f"^({ACTIVE}|{VERSION_PATTERN})$", "examples": [ACTIVE]},
}
STORED_VERSION: dict[str, Any] = {
    **VERSION,
    "description": "A stored version",
    "schema": {"type": "string", "pattern": f"^{VERSION_PATTERN}$"},
}


def links(place: str, name: str, *operations: str) -> dict[str, Any]:
    """Return how OpenAPI says that an answer has, at `place`, the parameter `name` of these operations."""
    return {
        operation: {"operationId": operation, "parameters": {name: f"$response.body#{place}"}}
        for operation in operations
    }


NO_MODEL = {"s503": "No model is loaded"}
BAD_BODY = {
    "s400": "Malformed JSON",
    "s413": "Body too large",
    "s415": "Body is not application/json",
    "s422": "Values that are not allowed, each with a JSON pointer",
}

_QUERY = [
    {
        "name": "version",
        "in": "query",
        "description": "The version that predicts; the active one unless given",
        "schema": {"type": "string", "default": ACTIVE},
    },
    {
        "name": "explain",
        "in": "query",
        "description": "Whether to say why each customer is in its segment, and what would move it to the rival",
        "schema": {"type": "boolean", "default": False},
    },
]
_BAD_VERSION = {"s404": "No version with this name is stored", "s409": "The version cannot be served"}

PREDICT: dict[str, Any] = {
    "summary": "Predict one customer's segment",
    "response_model": answer_model(contract.Prediction),
    "openapi_extra": {"parameters": _QUERY} | accepts(_customer),
    "responses": problems(**BAD_BODY, **_BAD_VERSION, **NO_MODEL),
}
PREDICT_BATCH: dict[str, Any] = {
    "summary": "Predict many customers' segments, given as records or as columns",
    "response_model": answer_model(contract.BatchAnswer) | answer_model(contract.ColumnarAnswer),
    "openapi_extra": {"parameters": _QUERY}
    | accepts({"oneOf": [_object_with("customers", _customers), _object_with("columns", COLUMNS)]}),
    "responses": problems(**BAD_BODY, **_BAD_VERSION, **NO_MODEL),
}
LIVE: dict[str, Any] = {"summary": "Whether the process runs", "response_model": dict[str, str]}
READY: dict[str, Any] = {
    "summary": "Whether a model is loaded, which one, and what is wrong in the model store",
    "response_model": dict[str, str | None],
    "responses": problems(**NO_MODEL),
}
