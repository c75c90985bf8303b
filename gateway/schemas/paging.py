"""The query string of lists: page size and opaque keyset cursors."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from itsdangerous import BadSignature, Signer

from gateway.schemas.queries import Parameter, refused, text, whole
from shared.features import cust_id_fault

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_UNCHANGED = "must be a next_cursor of this service, unchanged"
_CURSOR = "`next_cursor` of the previous page, unchanged; none for the first page"


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
            raise refused("cursor", _UNCHANGED) from None
        position: list[Any]
        made_for, *position = orjson.loads(base64.urlsafe_b64decode(place + b"=" * (-len(place) % 4)))
        if made_for != list_id:
            raise refused(
                "cursor", "belongs to another list: filters and sort must be the same as for the page it came from"
            )
        return position


def cursor_after(last_id: str) -> str:
    """Return the cursor of the page that follows `last_id`."""
    return base64.urlsafe_b64encode(f"{_VERSION}{last_id}".encode()).decode().rstrip("=")


_VERSION = "1:"  # so that a later kind of cursor can be told from this one


def read_cursor(cursor: str) -> str:
    """Return the id after which the page begins, of a list by id alone; only ids are in such cursors, and no secret."""
    try:
        found = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValueError(_UNCHANGED) from None
    after = found.removeprefix(_VERSION)
    if not found.startswith(_VERSION) or cust_id_fault(after) or cursor != cursor_after(after):
        raise ValueError(_UNCHANGED)
    return after


def _read_position(cursor: str) -> int:
    """Return the position in the change log before which the page begins."""
    position = read_cursor(cursor)
    if not (position.isascii() and position.isdigit() and len(position) <= _LONGEST_POSITION):
        raise ValueError(_UNCHANGED)
    return int(position)


_LONGEST_POSITION = 18
"""Digits that any number of so many bits as MongoDB has can have."""

LIMIT = whole("limit", "Maximum number of entries on the page", 1, MAX_LIMIT, default=DEFAULT_LIMIT)
SIGNED_CURSOR = text("cursor", _CURSOR)
CURSOR = Parameter("cursor", read_cursor, _CURSOR, SIGNED_CURSOR.schema)
PAGE = (LIMIT, CURSOR)
POSITION_CURSOR = Parameter("cursor", _read_position, _CURSOR, SIGNED_CURSOR.schema)
"""Of a list in the order of the change log."""
