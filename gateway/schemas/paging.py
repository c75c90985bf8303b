"""The query string of lists: page size and opaque keyset cursors."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from itsdangerous import BadSignature, Signer

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


def load_limit(query: Mapping[str, str]) -> int:
    """Return the page size.

    Raises
    ------
    InvalidInput
        unless it is 1..500.
    """
    limit = query.get("limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9 and 1 <= int(limit) <= MAX_LIMIT):
        raise InvalidInput([FieldError(pointer="?limit", detail=f"must be a whole number from 1 to {MAX_LIMIT}")])
    return int(limit)


class Cursors:
    """Cursors that only this installation can make: a place in a list, and which list that is, signed.

    Parameters
    ----------
    secret : signs them; all processes of an installation share it. With another one older cursors end.
    """

    def __init__(self, secret: str) -> None:
        # The salt says what is signed and in which form, so that nothing else that the secret signs passes for it.
        self._signer = Signer(secret, salt="customers-cursor-1", digest_method=hashlib.sha256)

    def write(self, list_id: str, position: Sequence[Any]) -> str:
        """Return the cursor of what follows `position` in the list that `list_id` stands for."""
        place = base64.urlsafe_b64encode(orjson.dumps([list_id, *position])).rstrip(b"=")
        return self._signer.sign(place).decode()

    def read(self, cursor: str, list_id: str) -> list[Any]:
        """Return the position; times in it are texts.

        Raises
        ------
        InvalidInput
            for a cursor that this service did not make, or made for another list.
        """
        try:
            place = self._signer.unsign(cursor.encode("ascii"))
        except (BadSignature, UnicodeEncodeError):
            raise _refused("must be a next_cursor of this service, unchanged") from None
        position: list[Any]
        made_for, *position = orjson.loads(base64.urlsafe_b64decode(place + b"=" * (-len(place) % 4)))
        if made_for != list_id:
            raise _refused("belongs to another list: filters and sort must be those of the page that it came with")
        return position


def _refused(detail: str) -> InvalidInput:
    return InvalidInput([FieldError(pointer="?cursor", detail=detail)], "the query string breaks the rules in errors")


def load_page_request(query: Mapping[str, str]) -> PageRequest:
    """Return the page asked for of a list by id alone, whose cursors are no secret: nothing but ids is in them.

    Raises
    ------
    InvalidInput
        for a limit out of 1..500 or a cursor that this service did not make.
    """
    errors: list[FieldError] = []
    limit, after = 0, None
    try:
        limit = load_limit(query)
    except InvalidInput as error:
        errors += error.errors
    if (cursor := query.get("cursor")) is not None and (after := _read(cursor)) is None:
        errors.append(FieldError(pointer="?cursor", detail="must be a next_cursor of this service, unchanged"))
    if errors:
        raise InvalidInput(errors, "the query string breaks the rules in errors")
    return PageRequest(after, limit)


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
