"""What the OpenAPI document says beyond what FastAPI reads off the endpoints: problems, versions and the secret."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path
from pydantic import TypeAdapter

from model_service.api.errors import is_open_inference
from model_service.api.middleware import OPEN
from shared.contract import MAX_BATCH, MAX_COLUMNAR
from shared.model_contract import ACTIVE
from shared.problems import MEDIA_TYPE, Problem

Responses = dict[int | str, dict[str, Any]]

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_SCHEME = "gateway"
_INFERENCE_SCHEME = "inference"

_version_pattern = "[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"

StoredVersion = Annotated[
    str, Path(description="A stored version", json_schema_extra={"pattern": f"^{_version_pattern}$"})
]
"""The version in an address. The pattern is not checked: what does not match is not found, which is a 404."""

VERSION_PATTERN = f"^({ACTIVE}|{_version_pattern})$"

Version = Annotated[
    str,
    Path(
        description=f"A stored version, or {ACTIVE}",
        json_schema_extra={"pattern": VERSION_PATTERN},
        examples=[ACTIVE],
    ),
]
"""The version in an address where ``active`` stands for the one that serves."""


def problems(**descriptions: str) -> Responses:
    """Return how OpenAPI says that a route may answer a problem, given as ``s404="No such thing"``."""
    return {
        int(status.removeprefix("s")): {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status, text in descriptions.items()
    }


NO_MODEL = {"s503": "No model is loaded"}
NO_VERSION = {"s404": "No version with this name is stored"}
NOT_WRITABLE = {"s507": "The model store cannot be written: its disk is full or read-only"}
BAD_BODY = {
    "s400": "Malformed JSON",
    "s413": "Body too large",
    "s415": "Body is not application/json",
    "s422": "Values that are not allowed, each with a JSON pointer",
}
NO_QUERY = problems(s422="This request takes no query")


def accepts(schema: dict[str, Any], media_type: str = "application/json", **rest: Any) -> dict[str, Any]:
    """Return how OpenAPI says that a route, which reads its body itself, takes one of this schema."""
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}, **rest}}


def links(place: str, name: str, *operations: str) -> dict[str, Any]:
    """Return how OpenAPI says that an answer has, at `place`, the parameter `name` of these operations."""
    return {
        operation: {"operationId": operation, "parameters": {name: f"$response.body#{place}"}}
        for operation in operations
    }


def schema_of(shape: Any) -> dict[str, Any]:
    """Return the schema of a type, complete in itself."""
    schema = TypeAdapter(shape).json_schema()
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            name = value.get("$ref", "").removeprefix("#/$defs/")
            return resolved(definitions[name]) if name else {key: resolved(part) for key, part in value.items()}
        return [resolved(part) for part in value] if isinstance(value, list) else value

    found: dict[str, Any] = resolved(schema)
    return found


def columns_schema(customer: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of customers given by column, from that of one customer."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": customer["required"],
        "properties": {
            name: {"type": "array", "maxItems": MAX_COLUMNAR, "items": cell}
            for name, cell in customer["properties"].items()
        },
    }


def records_schema(customer: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list of customers."""
    anything = {"description": "An entry that is not a valid customer is answered with an error in its place"}
    return {"type": "array", "maxItems": MAX_BATCH, "items": {**anything, "anyOf": [customer, {}]}}


def complete_document(app: FastAPI) -> None:
    """Make the generated document say what FastAPI does not know: problems, the secret and titles."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        document = generated()
        if "security" not in document:
            document["security"] = [{_SCHEME: []}]
            components = document["components"]
            components["securitySchemes"] = {
                _SCHEME: _bearer("The secret that the gateway shares"),
                _INFERENCE_SCHEME: _bearer("The secret for inference clients, where one is set"),
            }
            components["schemas"].setdefault("Problem", schema_of(Problem))
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _complete(operation, path)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _bearer(description: str) -> dict[str, str]:
    return {"type": "http", "scheme": "bearer", "description": description}


def _complete(operation: dict[str, Any], path: str) -> None:
    # The first line of an endpoint's docstring is its title.
    title, _, rest = operation.pop("description").partition("\n\n")
    operation["summary"] = title.rstrip(".")
    operation |= {"description": rest} if rest else {}
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):  # FastAPI's own, which is never answered here
        del responses["422"]
    if path in OPEN:
        operation["security"] = []
    else:
        if is_open_inference(path):
            operation["security"] = [{_SCHEME: []}, {_INFERENCE_SCHEME: []}]
        responses |= {str(status): text for status, text in problems(s401="The secret is missing or wrong").items()}
