"""The variable parts of addresses, and parameters as the document has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.controllers.service import FILES
from gateway.routes import VARIABLE
from gateway.schemas.queries import CUST_ID_SCHEMA, VERSION_OR_ACTIVE, JSONSchema, Parameter
from shared.model_contract import ACTIVE


def _text(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


PATH: Mapping[str, JSONSchema] = {
    "cust_id": {"description": CUST_ID_SCHEMA["description"], "schema": CUST_ID_SCHEMA},
    "segment_id": _text("The permanent id of a segment, such as seg-01"),
    "version": _text(
        f"The name of a model version, or `{ACTIVE}` for the active one", pattern=f"^{VERSION_OR_ACTIVE}$"
    ),
    "erasure_id": _text("The id of an erasure"),
    "key_id": _text("The public id of an API key: what follows csk_ in it, up to the next underscore"),
    "file": _text("The name of a file of the page", enum=sorted(FILES)),
    "import_id": _text("The id of an import"),
    "webhook_id": _text("The id of a webhook"),
    "delivery_id": _text("The id of a delivery"),
    "training_id": _text("The id of a training"),
    "name": _text("The name of a plot, such as elbow"),
    "kind": _text("Vector or pixels", enum=["svg", "png"]),
}
"""The variable parts of addresses; a new one is described here."""


def of_path(rule: str) -> list[dict[str, Any]]:
    """Return the parameters for the variable parts of a route's address."""
    names = [found["name"] for found in VARIABLE.finditer(rule)]
    return [{"name": name, "in": "path", "required": True, **PATH[name]} for name in names]


def of_query(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter of a query string."""
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }
