"""The Idempotency-Key header field (draft-ietf-httpapi-idempotency-key-header-07)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from gateway.services.errors import InvalidInput
from shared.features import CUST_ID
from shared.problems import FieldError

HEADER = "Idempotency-Key"
LONGEST = 255

_bare = re.compile(r"[!#-+\--~]+")  # visible, but for the quotation mark, and the comma that joins repeated fields
_quoted = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_escape = re.compile(r"\\(.)")


def load_key(field: str) -> str:
    """Return the key, which is written as a string (RFC 8941 section 3.3.3) or as it is.

    Raises
    ------
    InvalidInput
        unless it has 1 to `LONGEST` visible ASCII characters.
    """
    text = field.strip(" \t")
    key = text if _bare.fullmatch(text) else ""
    if string := _quoted.fullmatch(text):
        key = _escape.sub(r"\1", string[1])
    if not 1 <= len(key) <= LONGEST:
        detail = f"must be one key of 1 to {LONGEST} visible ASCII characters, in quotation marks or without"
        raise InvalidInput([FieldError(pointer=HEADER, detail=detail)])
    return key


def customers_named(body: bytes) -> set[str]:
    """Return the CUST_IDs that a JSON body names, for one customer or in a list of many; none if it is no JSON."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return set()  # it will be refused
    return set(_customers(value))


def _customers(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(cust_id := value.get(CUST_ID), str):
            yield cust_id
        for rows in value.values():
            if isinstance(rows, list):
                yield from (row[CUST_ID] for row in rows if isinstance(row, dict) and isinstance(row.get(CUST_ID), str))
