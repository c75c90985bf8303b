"""What is said about webhooks: marshmallow schemas of bodies, and the parameters of their log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, get_args

from marshmallow import Schema, fields, post_load, validate

from gateway.schemas.api_keys import UNFIT, Whole
from gateway.schemas.events import NOW
from gateway.schemas.paging import CURSOR, LIMIT
from gateway.schemas.queries import choice
from gateway.services.events.feed import EVENT_TYPES
from gateway.services.webhooks.destinations import LONGEST_URL
from gateway.services.webhooks.webhook import DeliveryStatus
from gateway.services.webhooks.webhooks import DEFAULT_OVERLAP, LONGEST_OVERLAP

LONGEST_DESCRIPTION: Final = 200
EARLIEST: Final = "earliest"
_REQUIRED: Final = {"required": "is missing", "null": "must not be null"}


class _Strict(Schema):
    error_messages = {"unknown": "is not a known field", "type": "must be an object"}  # noqa: RUF012  # marshmallow's own attribute


def _url(**options: Any) -> fields.String:
    return fields.String(
        **options,
        error_messages={**_REQUIRED, "invalid": "must be a text"},
        validate=validate.Length(1, LONGEST_URL, error=f"must be an address of 1 to {LONGEST_URL} characters"),
        metadata={
            "description": "Where events are sent to (POST); https, at an address of the public Internet, or wherever "
            "else WEBHOOK_NETWORKS allows",
            "format": "uri",
            "example": "https://crm.example.com/hooks/segments",
        },
    )


def _description(**options: Any) -> fields.String:
    return fields.String(
        **options,
        error_messages={"null": "must not be null", "invalid": "must be a text"},
        validate=validate.Regexp(
            rf"[^{UNFIT}]{{0,{LONGEST_DESCRIPTION}}}\Z",
            error=f"must be at most {LONGEST_DESCRIPTION} characters, none of them a control character",
        ),
        metadata={"description": "What people call it, such as the system that listens", "example": "CRM"},
    )


def _types() -> fields.List[Any]:
    one = fields.String(
        validate=validate.OneOf(EVENT_TYPES, error=f"must be one of: {', '.join(EVENT_TYPES)}"),
        error_messages={"invalid": "must be a text", "null": "must not be null"},
    )
    return fields.List(
        one,
        allow_none=True,
        error_messages={"invalid": "must be a list"},
        validate=validate.Length(1, error="must name at least one type; null stands for all"),
        metadata={"description": "The types of events that are delivered; all where it is null or nothing is said"},
    )


class NewWebhookSchema(_Strict):
    """A webhook to be made."""

    url = _url(required=True)
    description = _description()
    types = _types()


class WebhookPatchSchema(_Strict):
    """What changes of a webhook: a merge patch (RFC 7396)."""

    url = _url()
    description = _description(allow_none=True)
    types = _types()
    status = fields.String(
        error_messages={"null": "must not be null", "invalid": "must be a text"},
        validate=validate.OneOf(("active", "paused"), error="must be active or paused"),
        metadata={"description": "`active` goes on where it was, also after it was disabled; `paused` waits"},
    )

    @post_load
    def _cleared(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if "description" in data:
            data["description"] = data["description"] or ""
        return data


class WebhookRotationSchema(_Strict):
    """How a webhook gets a new secret."""

    overlap_seconds = Whole(
        int(LONGEST_OVERLAP.total_seconds()),
        least=0,
        metadata={
            "description": "Seconds for which deliveries are signed with the old secret as well; "
            f"{DEFAULT_OVERLAP.total_seconds():.0f} where nothing is said"
        },
    )

    @post_load
    def _overlap(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"overlap": timedelta(seconds=data["overlap_seconds"])} if "overlap_seconds" in data else {}


class ReplaySchema(_Strict):
    """Where deliveries go on."""

    after = fields.String(
        required=True,
        error_messages={**_REQUIRED, "invalid": "must be a text"},
        validate=validate.Regexp(
            rf"(?:{NOW}|{EARLIEST}|[0-9]{{1,18}})\Z",
            error=f"must be {NOW}, {EARLIEST}, the id of an event, or a next_cursor of a page of events",
        ),
        metadata={
            "description": f"What follows this event is delivered: its `id`, or a `next_cursor` of `GET /events`; "
            f"`{EARLIEST}`: all that is kept; `{NOW}`: nothing that has happened so far",
            "example": "4711",
        },
    )

    @post_load
    def _start(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        after = data["after"]
        return {"start": after if after in (NOW, EARLIEST) else int(after)}


DELIVERIES: Final = (
    choice("status", "Only deliveries of this status", get_args(DeliveryStatus)),
    LIMIT,
    CURSOR,
)
