"""The query string of the feed of events."""

from __future__ import annotations

import re
from typing import Final, Literal

from gateway.schemas.queries import Parameter, read_time, whole
from gateway.services.customers.query import Op
from gateway.services.events.feed import EVENT_TYPES, EventType

NOW: Final = "now"
MAX_EVENTS: Final = 1_000
MAX_WAIT: Final = 30

_number = re.compile("[0-9]{1,18}")  # not \d, which takes digits of all scripts


def _read_cursor(text: str) -> int | Literal["now"]:
    """Return the number of an event, or `NOW`."""
    if text == NOW:
        return NOW
    if not _number.fullmatch(text):
        raise ValueError(f"must be {NOW}, the next_cursor of a page of events, or the id of an event")
    return int(text)


def _read_types(text: str) -> tuple[EventType, ...]:
    names = text.split(",")
    for name in names:
        if name not in EVENT_TYPES:
            raise ValueError(f"{name!r} is not a type of events; these are: {', '.join(EVENT_TYPES)}")
    return tuple(kind for kind in EVENT_TYPES if kind in names)


_TYPE = f"({'|'.join(map(re.escape, EVENT_TYPES))})"
AFTER = Parameter(
    "after",
    _read_cursor,
    f"Only events that follow this cursor: a `next_cursor` or the `id` of an event; `{NOW}`: those still to come. "
    "Without it, from the earliest that is kept",
    {"type": "string", "pattern": f"^({NOW}|[0-9]{{1,18}})$"},
)
TYPE = Parameter(
    "type",
    _read_types,
    f"Only events of these types, separated by commas: {', '.join(EVENT_TYPES)}",
    {"type": "string", "pattern": f"^{_TYPE}(,{_TYPE})*$"},
)
EVENTS_LIMIT = whole("limit", "Maximum number of events on the page", 1, MAX_EVENTS, default=100)
WAIT = whole("wait", "Seconds to wait for an event where there is none yet", 0, MAX_WAIT, default=0)

EVENTS = (AFTER, TYPE, EVENTS_LIMIT, WAIT)

SUMMARY = (
    Parameter(
        "since",
        lambda value: read_time(value, Op.GTE),
        "What has changed since then; by default in the last seven days",
        {"type": "string", "format": "date-time"},
    ),
)
