"""Times as they come in, by RFC 3339; alone because one rule holds wherever they stand, in bodies and in queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

RULE: Final = "must be a time with its zone as in RFC 3339, such as 2026-01-31T12:00:00Z"

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_LAST = datetime.max.replace(microsecond=999_000)


def parse_time(text: str, *, up: bool = False) -> datetime:
    """Return a time as the services have times: in UTC, without a zone, to the millisecond, as MongoDB keeps it.

    Parameters
    ----------
    up : whether a finer one is rounded up rather than down; the last millisecond of the year 9999 has none after it.

    Raises
    ------
    ValueError
        unless it is a time, and of the years 1 to 9999 in UTC as well.
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(RULE)
    day, clock, fraction, zone = found.groups()
    digits = (fraction or "").ljust(3, "0")
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}").astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ValueError(RULE) from None
    at = whole + timedelta(milliseconds=int(digits[:3]))
    return at + timedelta(milliseconds=1) if up and digits[3:].strip("0") and at < _LAST else at
