"""marshmallow schemas of customers, generated from the data dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields

from shared.features import CUST_ID, FEATURES, Feature, cust_id_fault
from shared.problems import FieldError


class FeatureField(fields.Field[float | int]):
    """A feature's value, checked by the feature's own hard rule."""

    def __init__(self, feature: Feature, **options: Any) -> None:
        optional = feature.nullable or feature.derive is not None
        options.setdefault("required", not optional)
        super().__init__(
            allow_none=optional,
            error_messages={"required": "is missing", "null": "must not be null"},
            metadata={"description": f"{feature.description} ({feature.unit}); {feature.rule()}"},
            **options,
        )
        self.feature = feature

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float | int:
        if fault := self.feature.fault(value):
            raise ValidationError(fault)
        number = self.feature.normal(value)
        assert number is not None  # null ends in allow_none
        return number


class CustIdField(fields.Field[str]):
    """A customer's natural key."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            error_messages={"required": "is missing", "null": "must not be null"},
            metadata={"description": "Customer id"},
            **options,
        )

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if fault := cust_id_fault(value):
            raise ValidationError(fault)
        return str(value)


class StrictSchema(Schema):
    """A schema that names unknown fields and wrong shapes in plain words."""

    error_messages = {"unknown": "is not a known field", "type": "must be an object"}  # noqa: RUF012  # marshmallow's own attribute


def customer_schema(features: Sequence[Feature] = FEATURES, *, id_required: bool = True) -> Schema:
    """Return the schema of a whole customer: create, replace, predict."""
    members: dict[str, fields.Field[Any]] = {f.name: FeatureField(f) for f in features}
    return StrictSchema.from_dict({CUST_ID: CustIdField(required=id_required), **members}, name="Customer")()


def patch_schema(features: Sequence[Feature] = FEATURES) -> Schema:
    """Return the schema of a merge patch (RFC 7396): any fields; null clears the nullable ones."""
    members: dict[str, fields.Field[Any]] = {f.name: FeatureField(f, required=False) for f in features}
    return StrictSchema.from_dict({CUST_ID: CustIdField(), **members}, name="CustomerPatch")()


def field_errors(error: ValidationError, prefix: str = "") -> list[FieldError]:
    """Return marshmallow's messages as (JSON pointer, detail) pairs."""
    messages = error.messages if isinstance(error.messages, dict) else {"_schema": error.messages}
    return [
        FieldError(pointer=prefix + _pointer(name), detail=str(detail))
        for name, details in messages.items()
        for detail in details
    ]


def _pointer(name: str) -> str:
    if name == "_schema":  # about the whole value
        return ""
    return "/" + name.replace("~", "~0").replace("/", "~1")
