"""The query string of lists: page size and the opaque keyset cursor."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple

from gateway.services.errors import InvalidInput
from shared.features import cust_id_fault
from shared.problems import FieldError

PAGE = ("limit", "cursor")
DEFAULT_LIMIT = 50
MAX_LIMIT = 500


class PageRequest(NamedTuple):
    """Which page is asked for: up to `limit` customers after CUST_ID `after`."""

    after: str | None
    limit: int


def load_page_request(query: Mapping[str, str]) -> PageRequest:
    """Return the page asked for.

    Raises
    ------
    InvalidInput
        for a limit out of 1..500 or a cursor that this service did not make.
    """
    errors: list[FieldError] = []
    limit, after = query.get("limit", str(DEFAULT_LIMIT)), None
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9 and 1 <= int(limit) <= MAX_LIMIT):
        errors.append(FieldError(pointer="?limit", detail=f"must be a whole number from 1 to {MAX_LIMIT}"))
    if (cursor := query.get("cursor")) is not None and (after := _read(cursor)) is None:
        errors.append(FieldError(pointer="?cursor", detail="must be a next_cursor of this service, unchanged"))
    if errors:
        raise InvalidInput(errors, "the query string breaks the rules in errors")
    return PageRequest(after, int(limit))


def cursor_after(cust_id: str) -> str:
    """Return the cursor of the page that follows `cust_id`."""
    return base64.urlsafe_b64encode(f"{_VERSION}{cust_id}".encode()).decode().rstrip("=")


_VERSION = "1:"  # so that a later kind of cursor can be told from this one


def _read(cursor: str) -> str | None:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    after = text.removeprefix(_VERSION)
    return after if text.startswith(_VERSION) and not cust_id_fault(after) and cursor == cursor_after(after) else None
