"""What a reader of the customers asks for: conditions, order, fields. Lists, exports and counts share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from gateway.services.customers.customer import KEPT_BY_SERVICE
from shared.features import BY_NAME, CUST_ID, FEATURES


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
    Null equals nothing, is unequal to every value, and neither greater nor less than any.
    """

    field: str
    op: Op
    value: Any


Filters = tuple[Condition, ...]
"""Conditions that must all hold."""


class FieldKind(StrEnum):
    """What the values of a field are; decides how they compare."""

    ID = "id"
    NUMBER = "number"
    NAME = "name"
    FLAG = "flag"
    STATUS = "status"
    TIME = "time"


_EQUALITY = (Op.EQ, Op.NE, Op.IN)
_RANGE = (Op.GT, Op.GTE, Op.LT, Op.LTE)
_OPS: Mapping[FieldKind, tuple[Op, ...]] = {
    FieldKind.ID: (*_EQUALITY, *_RANGE, Op.PREFIX),
    FieldKind.NUMBER: (*_EQUALITY, *_RANGE),
    FieldKind.NAME: _EQUALITY,
    FieldKind.FLAG: (Op.EQ,),
    FieldKind.STATUS: (Op.EQ,),
    FieldKind.TIME: _RANGE,
}


@dataclass(frozen=True, slots=True)
class Field:
    """What customers can be filtered by.

    Attributes
    ----------
    name : its public name.
    path : where the value is found in a `Customer`; ``borderline`` is derived from the confidence there.
    nullable : whether the value may be null.
    """

    name: str
    kind: FieldKind
    path: tuple[str, ...]
    nullable: bool = False

    @property
    def ops(self) -> tuple[Op, ...]:
        """How the field can be compared; ``exists`` only where there may be no value.

        Any feature may be missing: from customers that were stored before there was one.
        """
        return (*_OPS[self.kind], Op.EXISTS) if self.nullable or self.name in BY_NAME else _OPS[self.kind]


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field(CUST_ID, FieldKind.ID, (CUST_ID,)),
        *(Field(f.name, FieldKind.NUMBER, (f.name,), f.nullable) for f in FEATURES),
        Field("segment", FieldKind.NAME, ("segment", "id"), nullable=True),
        Field("rival", FieldKind.NAME, ("segment", "rival"), nullable=True),
        Field("confidence", FieldKind.NUMBER, ("segment", "confidence"), nullable=True),
        Field("borderline", FieldKind.FLAG, ("segment", "confidence")),
        Field("model_version", FieldKind.NAME, ("segment", "model_version"), nullable=True),
        Field("assigned_at", FieldKind.TIME, ("segment", "assigned_at"), nullable=True),
        Field("segment_status", FieldKind.STATUS, ("segment_status",)),
        Field("created_at", FieldKind.TIME, ("created_at",)),
        Field("updated_at", FieldKind.TIME, ("updated_at",)),
    )
}
"""Everything that customers can be filtered by, under its public name."""

LABELS: Mapping[str, str] = {
    CUST_ID: "Customer",
    "segment": "Segment",
    "rival": "Closest other segment",
    "confidence": "Confidence",
    "borderline": "Borderline",
    "segment_status": "State",
    "model_version": "Model version",
    "assigned_at": "Last scored",
    "created_at": "First stored",
    "updated_at": "Data last changed",
    **{feature.name: feature.label for feature in FEATURES},
}
"""What the `FIELDS` are called where people read them."""

MEMBERS = (CUST_ID, *(f.name for f in FEATURES), *KEPT_BY_SERVICE)
"""The members of a customer in an answer, which a reader may choose from."""

RANKED = ("confidence", *(f.name for f in FEATURES if f.sortable), "updated_at")
"""Sort keys that have an index over all customers, and one within each segment."""
INDEXED = (CUST_ID, "segment", *RANKED, "borderline", "segment_status", "model_version")
"""What an index finds customers by: filters on these are taken however many customers there are."""
SORTABLE = (CUST_ID, "segment", *RANKED, "created_at")
"""What customers can be sorted by. Those that are `INDEXED` cost the same at any depth; the others are sorted anew for
each page, and so are taken only where few customers are concerned (`services.customers.lists`).

Every index makes each write dearer, so these are what people look through customers by, not every column.
"""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One field to sort by; null comes before every value when ascending. CUST_ID always decides at last."""

    field: str
    descending: bool = False


Order = tuple[SortKey, ...]
"""Sort keys of which the last is CUST_ID, so that no two customers are equal."""
BY_ID: Order = (SortKey(CUST_ID),)


def order_of(keys: Sequence[SortKey]) -> Order:
    """Return the order by `keys`; where they leave it open, CUST_ID decides, in the direction of the last of them."""
    for place, key in enumerate(keys):
        if key.field == CUST_ID:
            return tuple(keys[: place + 1])
    return (*keys, SortKey(CUST_ID, keys[-1].descending)) if keys else BY_ID


Position = tuple[Any, ...]
"""A customer's place in an order: its value for each of the sort keys."""


def value_of(customer: Mapping[str, Any], field: str) -> Any:
    """Return a customer's value of a field that is not derived; None where there is none."""
    value: Any = customer
    for key in FIELDS[field].path:
        value = value.get(key) if value is not None else None
    return value


def without_index(filters: Filters, order: Order) -> tuple[list[Condition], list[SortKey]]:
    """Return the conditions and the sort keys that no index serves."""
    return [c for c in filters if c.field not in INDEXED], [key for key in order if key.field not in INDEXED]


def parts_by_index(filters: Filters) -> list[Filters]:
    """Return for each index that finds some of the customers the conditions that it serves.

    Those are all on one value of customers and, where there is an index within segments, the one for a segment.
    """
    parts: dict[tuple[str, ...], list[Condition]] = {}
    for condition in filters:
        if condition.field in INDEXED:
            parts.setdefault(FIELDS[condition.field].path, []).append(condition)
    segment = [c for c in filters if (c.field, c.op) == ("segment", Op.EQ)]
    return [tuple(part + segment if part[0].field in (*RANKED, "borderline") else part) for part in parts.values()]


def position_of(customer: Mapping[str, Any], order: Order) -> Position:
    """Return a customer's place in the order."""
    return tuple(value_of(customer, key.field) for key in order)


@dataclass(frozen=True, slots=True)
class CustomerQuery:
    """Which customers, in which order.

    Attributes
    ----------
    after : only those that follow this place in the order.
    limit : at most so many.
    fields : which of `MEMBERS` to read, CUST_ID in any case; None for all.
    """

    filters: Filters = ()
    order: Order = BY_ID
    after: Position | None = None
    limit: int = 50
    fields: tuple[str, ...] | None = None


Exactness = Literal["exact", "estimated"]
"""How a number of customers is to be taken, or was."""

ESTIMATE_LIMIT = 10_000
"""How far an estimate counts customers that match filters."""


@dataclass(frozen=True, slots=True)
class Total:
    """How many customers a list has.

    An ``exact`` total is that at the moment of counting. An ``estimated`` one of a list without filters comes from the
    store's own books, which may be a little behind; of a list with filters it is `ESTIMATE_LIMIT`: so many or more.
    """

    total: int
    kind: Exactness
