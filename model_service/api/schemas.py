"""pydantic models: a customer's features, generated from the data dictionary, and the answers, for documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from shared.features import BY_NAME, FEATURES, Feature
from shared.problems import FieldError

_DETAILS = {"missing": "is missing", "extra_forbidden": "is not a known field", "model_type": "must be an object"}


def customer_model(features: Sequence[Feature] = FEATURES) -> type[BaseModel]:
    """Build the model of a customer's features; unknown fields are refused, strings and booleans are no numbers."""
    members: dict[str, Any] = {
        f.name: (_type(f) | None, Field(None, **_constraints(f)))
        if f.nullable or f.derive
        else (_type(f), Field(**_constraints(f)))
        for f in features
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model("CustomerFeatures", __config__=config, **members)


def _type(feature: Feature) -> Any:
    return Annotated[float, AfterValidator(_whole)] if feature.whole else float


def _whole(value: float) -> float:
    """Refuse a fraction; pydantic's own multiple_of lets pass what is within 1e-9."""
    if not value.is_integer():
        raise ValueError("must be a whole number")
    return value


def _constraints(feature: Feature) -> dict[str, Any]:
    """Return the bounds of `Feature.fault` in pydantic's words, which are checked without a call into Python."""
    return {
        "gt" if feature.exclusive_minimum else "ge": feature.minimum,
        "le": feature.maximum,
        "description": f"{feature.description} ({feature.unit}); {feature.rule()}",
        "json_schema_extra": {"multipleOf": 1} if feature.whole else None,
    }


def field_errors(error: ValidationError, prefix: str = "") -> list[FieldError]:
    """Return what is wrong as (JSON pointer, detail) pairs; `prefix` points at the validated value."""
    return [FieldError(pointer=pointer(prefix, e["loc"]), detail=_detail(e)) for e in error.errors(include_url=False)]


def pointer(prefix: str, path: Iterable[str | int]) -> str:
    """Return `prefix` continued by `path` as a JSON pointer (RFC 6901)."""
    return prefix + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _detail(error: ErrorDetails) -> str:
    """Word a finding as tier 1 does: by the feature's own rule where the value breaks one."""
    if error["type"] in _DETAILS:
        return _DETAILS[error["type"]]
    feature = BY_NAME.get(str(error["loc"][0])) if error["loc"] else None
    return (feature and feature.fault(error["input"])) or error["msg"].removeprefix("Value error, ")


def answer_model(shape: type[Any]) -> type[BaseModel]:
    """Build the pydantic model of a TypedDict of the wire contract, for the OpenAPI text.

    pydantic itself takes ``typing.TypedDict`` only from Python 3.12 on.
    """
    members: dict[str, Any] = {}
    for name, hint in get_type_hints(shape, include_extras=True).items():
        optional = get_origin(hint) is NotRequired
        inner = _documented(get_args(hint)[0] if optional else hint)
        members[name] = (inner, None if optional else ...)
    return create_model(
        shape.__name__, __doc__=shape.__doc__, __config__=ConfigDict(protected_namespaces=()), **members
    )


def _documented(hint: Any) -> Any:
    """Replace every TypedDict inside a type by its model."""
    if is_typeddict(hint):
        return answer_model(hint)
    origin = get_origin(hint)
    if origin is None or origin is Literal:
        return hint
    arguments = tuple(_documented(argument) for argument in get_args(hint))
    if origin in (list, dict):
        return origin[arguments]
    union = arguments[0]
    for argument in arguments[1:]:
        union = union | argument
    return union
