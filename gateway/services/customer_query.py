"""What a reader of the customers asks for: conditions, order, fields. Lists, exports and counts share it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Op(StrEnum):
    """How a condition compares; `PREFIX` is for CUST_ID alone."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    EXISTS = "exists"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a field, which has its public name: CUST_ID, a feature, ``segment``, ``confidence`` and so on.

    ``value`` has the field's own type (a tuple of them for `Op.IN`, a bool for `Op.EXISTS`, where false means null).
    """

    field: str
    op: Op
    value: Any


Filters = tuple[Condition, ...]
"""Conditions that must all hold."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One field to sort by; null comes before every value when ascending. CUST_ID always decides at last."""

    field: str
    descending: bool = False
