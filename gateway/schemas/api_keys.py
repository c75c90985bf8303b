"""marshmallow schemas of what is said about API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from gateway.schemas.times import parse_time
from gateway.services.access.api_keys import LONGEST_LIFETIME, LONGEST_OVERLAP
from gateway.services.principal import Scope

LONGEST_NAME = 100
UNFIT = r"\x00-\x1f\x7f\ud800-\udfff"
"""Control characters, and lone surrogates: a command line in another encoding has them, and nothing can store them."""


class Whole(fields.Integer):
    """A whole number; marshmallow's own strictness takes true for 1."""

    def __init__(self, most: int, **options: Any) -> None:
        at_least = options.pop("least", 1)
        detail = f"must be a whole number from {at_least} to {most}"
        super().__init__(
            strict=True,
            error_messages={"invalid": detail},
            validate=validate.Range(at_least, most, error=detail),
            **options,
        )

    def _deserialize(self, value: Any, *arguments: Any, **options: Any) -> int:
        if isinstance(value, bool):
            raise self.make_error("invalid")
        return int(super()._deserialize(value, *arguments, **options))


class _Time(fields.AwareDateTime):
    """A time; marshmallow's own fields take more than RFC 3339 does."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            return parse_time(value if isinstance(value, str) else "")
        except ValueError as error:
            raise ValidationError(str(error)) from None


class _Expiry(Schema):
    """When a key expires: in so many days, or at a time."""

    error_messages = {"unknown": "is not a known field", "type": "must be an object"}  # noqa: RUF012  # marshmallow's own attribute

    expires_in_days = Whole(
        LONGEST_LIFETIME.days, metadata={"description": "Days until the key expires; 365 where nothing is said"}
    )
    expires_at = _Time(metadata={"description": f"When the key expires; within {LONGEST_LIFETIME.days} days"})

    @validates_schema
    def _one_of_both(self, data: dict[str, Any], **_: Any) -> None:
        if "expires_in_days" in data and "expires_at" in data:
            raise ValidationError("must not be beside expires_in_days", "expires_at")

    @post_load
    def _joined(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Put the two ways to say it under one name, as the services have it."""
        if (days := data.pop("expires_in_days", None)) is not None:
            data["expires"] = timedelta(days=days)
        elif "expires_at" in data:
            data["expires"] = data.pop("expires_at")
        return data


class NewApiKeySchema(_Expiry):
    """A key to be made."""

    name = fields.String(
        required=True,
        error_messages={"required": "is missing", "null": "must not be null", "invalid": "must be a text"},
        validate=validate.Regexp(
            rf"[^\s{UNFIT}](?:[^{UNFIT}]{{0,{LONGEST_NAME - 2}}}[^\s{UNFIT}])?\Z",
            error=f"must be 1 to {LONGEST_NAME} characters, none of them a control character, without blanks around",
        ),
        metadata={"description": "What people call the key, such as the system that uses it", "example": "CRM"},
    )
    scopes = fields.List(
        fields.Enum(Scope, by_value=True, error_messages={"unknown": "must be one of: {choices}"}),
        required=True,
        error_messages={"required": "is missing", "null": "must not be null", "invalid": "must be a list"},
        validate=validate.Length(1, error="must name at least one scope"),
        metadata={"description": "What the key opens; admin includes all the others"},
    )


class RotationSchema(_Expiry):
    """How a key gets a new secret."""

    overlap_seconds = Whole(
        int(LONGEST_OVERLAP.total_seconds()),
        least=0,
        metadata={"description": "Seconds for which the old secret works as well; 3600 where nothing is said"},
    )

    @post_load
    def _overlap(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if (seconds := data.pop("overlap_seconds", None)) is not None:
            data["overlap"] = timedelta(seconds=seconds)
        return data
