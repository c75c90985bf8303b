"""JSON Schemas of answers, from the types that the services answer with."""

from __future__ import annotations

import dataclasses
import re
from inspect import cleandoc
from typing import Any, get_type_hints

import marshmallow
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from mashumaro.jsonschema import DRAFT_2020_12, JSONSchemaBuilder
from mashumaro.jsonschema.models import Context, JSONObjectSchema, JSONSchema
from mashumaro.jsonschema.plugins import BasePlugin
from mashumaro.jsonschema.schema import Instance
from typing_extensions import is_typeddict

from gateway.schemas.customers import CheckedField, ShownField
from gateway.schemas.queries import CUST_ID_SCHEMA
from shared.features import Feature

PREFIX = "#/components/schemas/"

_TIME = re.compile(r"(\w+_)?at|as_of|\w+_until")
_ATTRIBUTES = re.compile(r"\n*Attributes\n-+\n(?P<lines>.*?)(?=\n\n\w+\n-+\n|\Z)", re.DOTALL)
_ATTRIBUTE = re.compile(r"^(?P<names>\w[\w, ]*?) : (?P<text>.*(?:\n[ ]+.*)*)", re.MULTILINE)


class Shapes:
    """Makes schemas of types, and keeps those that have a name as components of the document."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = {}
        self._owners: dict[str, type] = {}
        self._builder = JSONSchemaBuilder(DRAFT_2020_12, all_refs=False, plugins=[_Components(self)])

    def schema(self, shape: Any) -> dict[str, Any]:
        """Return the schema of a type, or a reference to it where it has a name."""
        return self._builder.build(shape).to_dict()

    def keep(self, kind: type, schema: dict[str, Any]) -> JSONSchema:
        """Make the schema of a type a component, and return the reference to it."""
        name = kind.__name__
        if self._owners.setdefault(name, kind) is not kind:
            raise ValueError(f"two types are called {name}: {kind.__module__} and {self._owners[name].__module__}")
        self.components[name] = schema
        return JSONSchema(reference=PREFIX + name)


class _Components(BasePlugin):
    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def get_schema(self, instance: Instance, _: Context, schema: JSONSchema | None = None) -> JSONSchema | None:
        kind = instance.type
        if not (is_typeddict(kind) or dataclasses.is_dataclass(kind)) or not isinstance(schema, JSONObjectSchema):
            return None
        schema.additionalProperties = None  # a later version may say more
        return self._shapes.keep(kind, _described(kind, schema.to_dict()))


def _described(kind: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Put the docstring into the schema: what is said of an attribute goes there."""
    text = cleandoc(kind.__doc__ or "")
    found = _ATTRIBUTES.search(text)
    for line in _ATTRIBUTE.finditer(found["lines"] if found else ""):
        for name in line["names"].split(", "):
            schema["properties"][name]["description"] = _markdown(line["text"])
    order = [name for name in get_type_hints(kind) if name in schema["properties"]]
    return {
        "title": kind.__name__,
        "type": "object",
        "description": _markdown(_ATTRIBUTES.sub("", text)),
        "properties": {name: _timed(name, schema["properties"][name]) for name in order},
        "required": [name for name in order if name in schema.get("required", [])],
    }


def _timed(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Say that a text is a time: what the model service answers has times as texts."""
    for part in schema.get("anyOf", [schema]) if _TIME.fullmatch(name) else ():
        if part.get("type") == "string":
            part["format"] = "date-time"
    return schema


def _markdown(text: str) -> str:
    """Return a docstring's text as Markdown, a line for each paragraph."""
    paragraphs = text.replace("``", "`").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


OPENAPI = "3.1.0"


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
    if isinstance(field, ShownField):
        return {"readOnly": True, "description": "Set by the service; what is sent back unchanged is ignored"}
    if not isinstance(field, CheckedField):
        return {}
    return feature_schema(field.feature, nullable=field.allow_none) if field.feature else dict(CUST_ID_SCHEMA)


def _plain(bound: float) -> float | int:
    return int(bound) if bound == int(bound) else bound


_marshmallow = MarshmallowPlugin(schema_name_resolver=lambda _: "")  # no components: everything stands in its place
APISpec("", "", OPENAPI, plugins=[_marshmallow])
_converter: Any = _marshmallow.converter
_converter.add_attribute_function(_of_the_data_dictionary)
