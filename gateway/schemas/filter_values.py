"""Values in a query string, by the kind of the field they are compared with. All raise ValueError in plain words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.services.customer import ASSIGNED, PENDING
from gateway.services.customer_query import Kind, Op
from shared.features import CUST_ID_RULE, cust_id_fault

_number = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_word = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_time = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_FLAGS = {"true": True, "false": False}
_STATUSES = (PENDING, ASSIGNED)
_TIME_RULE = "must be a time with its zone as in RFC 3339, such as 2026-01-31T12:00:00Z (write + as %2B)"


def number(text: str, _: Op) -> float:
    """Return a finite number, written as in JSON."""
    if not _number.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError("must be a number")
    return value


def cust_id(text: str, op: Op) -> str:
    """Return a CUST_ID; where it is only compared with, also what begins like one."""
    if op in (Op.EQ, Op.NE, Op.IN):
        if fault := cust_id_fault(text):
            raise ValueError(fault)
    elif not _word.fullmatch(text):
        raise ValueError(CUST_ID_RULE)
    return text


def name(text: str, _: Op) -> str:
    """Return the id of a segment or the name of a model version; there need not be one."""
    if not _word.fullmatch(text):
        raise ValueError("must be 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-'")
    return text


def flag(text: str, _: Op) -> bool:
    """Return true or false."""
    if text not in _FLAGS:
        raise ValueError("must be true or false")
    return _FLAGS[text]


def status(text: str, _: Op) -> str:
    """Return a segment status."""
    if text not in _STATUSES:
        raise ValueError(f"must be {' or '.join(_STATUSES)}")
    return text


def time(text: str, op: Op) -> datetime:
    """Return a time in UTC, without a zone, to the millisecond, as times are stored.

    A finer one is rounded so that the comparison with what is stored comes out the same: up for what is at least
    or less, down for the others.
    """
    found = _time.fullmatch(text)
    if not found:
        raise ValueError(_TIME_RULE)
    day, clock, fraction, zone = found.groups()
    digits = (fraction or "").ljust(9, "0")
    up = op in (Op.GTE, Op.LT) and digits[3:].strip("0") != ""
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}").astimezone(UTC).replace(tzinfo=None)
        return whole + timedelta(milliseconds=int(digits[:3]) + up)
    except (ValueError, OverflowError):
        raise ValueError(_TIME_RULE) from None


READERS: Mapping[Kind, Callable[[str, Op], Any]] = {
    Kind.ID: cust_id,
    Kind.NUMBER: number,
    Kind.NAME: name,
    Kind.FLAG: flag,
    Kind.STATUS: status,
    Kind.TIME: time,
}
