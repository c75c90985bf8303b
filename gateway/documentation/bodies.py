"""JSON Schemas of what clients send, from the marshmallow schemas and the data dictionary that check it."""

from __future__ import annotations

from typing import Any

import marshmallow
from apispec import APISpec
from apispec.ext.marshmallow.openapi import OpenAPIConverter

from gateway.schemas.customers import CustIdField, FeatureField
from shared.features import CUST_ID_PATTERN, CUST_ID_RULE, Feature

OPENAPI = "3.1.0"

CUST_ID_SCHEMA = {
    "type": "string",
    "pattern": f"^{CUST_ID_PATTERN}$",
    "minLength": 1,
    "maxLength": 64,
    "description": f"The bank's id of the customer; {CUST_ID_RULE}",
}


def feature_schema(feature: Feature, *, nullable: bool) -> dict[str, Any]:
    """Return the schema of a feature's value: its type, bounds and meaning."""
    kind = "integer" if feature.whole else "number"
    minimum = "exclusiveMinimum" if feature.exclusive_minimum else "minimum"
    return {
        "type": [kind, "null"] if nullable else kind,
        minimum: _plain(feature.minimum),
        "maximum": _plain(feature.maximum),
        "description": f"{feature.description} ({feature.unit}); {feature.rule()}",
    }


def body_schema(schema: marshmallow.Schema) -> dict[str, Any]:
    """Return the JSON Schema of a body that `schema` checks."""
    found: dict[str, Any] = _converter.schema2jsonschema(schema)
    return found


def _of_the_data_dictionary(_: Any, field: marshmallow.fields.Field[Any], **__: Any) -> dict[str, Any]:
    if isinstance(field, FeatureField):
        return feature_schema(field.feature, nullable=field.allow_none)
    return dict(CUST_ID_SCHEMA) if isinstance(field, CustIdField) else {}


def _no_component(_: Any) -> None:
    """Name no schema, so that everything stands in its place."""


def _plain(bound: float) -> float | int:
    return int(bound) if bound == int(bound) else bound


_converter: Any = OpenAPIConverter(OPENAPI, _no_component, APISpec("", "", OPENAPI))
_converter.add_attribute_function(_of_the_data_dictionary)
