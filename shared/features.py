"""The data dictionary: one declaration per column, from which every schema and check is derived.

Both tiers' request schemas, the vectorised CSV validation, MongoDB's ``$jsonSchema``, the OpenAPI text and the
table in ``data/README.md`` are computed from `FEATURES`. To add a feature is to add one entry here.

Source of the bounds: the public "Credit Card Dataset for Clustering"; every hard rule accepts all 8,950 of its rows.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

CUST_ID: Final = "CUST_ID"
# "." and ".." are left out: every HTTP client resolves them away in a path, so such a customer could not be reached.
CUST_ID_PATTERN = r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}"
CUST_ID_RULE = "must be 1 to 64 characters of A-Z, a-z, 0-9, '_', '.' and '-', and not '.' or '..'"

MAX_AMOUNT = 1e12
MAX_COUNT = 1e6

_cust_id = re.compile(CUST_ID_PATTERN)


class Kind(StrEnum):
    """What a column measures; decides its unit and whether it is a whole number."""

    AMOUNT = "amount"
    COUNT = "count"
    FREQUENCY = "frequency"
    MONTHS = "months"


_WHOLE = frozenset({Kind.COUNT, Kind.MONTHS})
_UNITS = {
    Kind.AMOUNT: "currency units",
    Kind.COUNT: "transactions",
    Kind.FREQUENCY: "share of months",
    Kind.MONTHS: "months",
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the data dictionary.

    Attributes
    ----------
    name : the column's name in CSV, JSON, MongoDB and the model.
    kind : what it measures.
    description : one sentence for people.
    label : its plain name, for tables and pictures; by default the first words of the description.
    clause : how a sentence gives a value, with ``{}`` for it; by default label and value with a colon between.
    plain : what it says about a customer, a sentence for those who do not know the data; by default the description.
    minimum, maximum : inclusive bounds, in the column's unit.
    exclusive_minimum : the value must be greater than ``minimum``, not equal to it.
    nullable : may be null or absent; the model then imputes the training median.
    in_distance : takes part in the K-Means distance; otherwise it serves profiles only.
    derive : for a derived column, how it is computed from the others. Clients may send it; it is recomputed.
    sortable : customers can be sorted by it, and filtered at any number of them. Each costs every write two indexes.
    whole : whether values are whole numbers (counts and months). Kept, as each value is asked for it several times.
    """

    name: str
    kind: Kind
    description: str
    maximum: float
    minimum: float = 0.0
    exclusive_minimum: bool = False
    nullable: bool = False
    in_distance: bool = True
    derive: Callable[[Mapping[str, Any]], float] | None = None
    label: str = ""
    clause: str = ""
    plain: str = ""
    sortable: bool = False
    whole: bool = field(init=False)

    def __post_init__(self) -> None:
        label = self.label or re.split("[,:]", self.description)[0]
        clause = self.clause or f"{label[:1].lower()}{label[1:]}: {{}}"
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "clause", clause)
        object.__setattr__(self, "plain", self.plain or f"{self.description}.")
        object.__setattr__(self, "whole", self.kind in _WHOLE)

    @property
    def called(self) -> str:
        """The plain name inside a sentence."""
        return f"{self.label[:1].lower()}{self.label[1:]}"

    @property
    def unit(self) -> str:
        """The unit of the values, for people."""
        return _UNITS[self.kind]

    def fault(self, value: object) -> str | None:
        """Say which hard rule `value` breaks, or None when it breaks none.

        A whole number may be written as a float (``12.0``); booleans and strings are never numbers.
        """
        if value is None:
            return None if self.nullable else "must not be null"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be a number, not {_json_type(value)}"
        if value - value != 0:  # NaN and the infinities: the only values for which this is not zero
            return "must be a finite number"
        if value < self.minimum or (self.exclusive_minimum and value == self.minimum):
            return f"must be {'greater than' if self.exclusive_minimum else 'at least'} {self.minimum:g}"
        if value > self.maximum:
            return f"must be at most {self.maximum:g}"
        if self.whole and value != int(value):
            return "must be a whole number"
        return None

    def normal(self, value: float | None) -> float | int | None:
        """Return a faultless `value` in its stored form: ``int`` for whole kinds, ``float`` for the others."""
        if value is None:
            return None
        return int(value) if self.whole else float(value) + 0.0  # + 0.0 turns -0.0 into 0.0

    def rule(self) -> str:
        """Return the hard rule in words, for documentation."""
        if self.derive:
            return "computed by the service"
        left = "(" if self.exclusive_minimum else "["
        whole = "integer in " if self.whole else ""
        null = ", may be null" if self.nullable else ""
        return f"{whole}{left}{self.minimum:g}, {self.maximum:g}]{null}"


def average_purchase(customer: Mapping[str, Any]) -> float:
    """Mean amount of one purchase, ``PURCHASES / PURCHASES_TRX``, in currency units; 0 with no transactions."""
    transactions = customer["PURCHASES_TRX"]
    return float(customer["PURCHASES"] / transactions) if transactions else 0.0


def _amount(name: str, description: str, **rest: Any) -> Feature:
    return Feature(name, Kind.AMOUNT, description, maximum=MAX_AMOUNT, **rest)


def _frequency(name: str, description: str, maximum: float = 1.0, **texts: Any) -> Feature:
    return Feature(name, Kind.FREQUENCY, description, maximum=maximum, **texts)


def _count(name: str, description: str, **texts: Any) -> Feature:
    return Feature(name, Kind.COUNT, description, maximum=MAX_COUNT, **texts)


def _yearly(name: str, what: str, plain: str, **rest: Any) -> Feature:
    """Return an amount that adds up over a year: `what`, such as "cash advances"."""
    label = f"{what.capitalize()} in 12 months"
    clause = f"{what} in 12 months come to {{}}"
    return _amount(name, f"Total amount of {what} in 12 months", label=label, clause=clause, plain=plain, **rest)


def _active_months(name: str, what: str, plain: str, maximum: float = 1.0) -> Feature:
    """Return the frequency of months with `what`."""
    label, clause = f"Months with {what}", f"there are {what} in {{}} of months"
    return _frequency(name, f"Share of months with {what}", maximum, label=label, clause=clause, plain=plain)


def _number(name: str, what: str, plain: str) -> Feature:
    """Return the count of `what` in a year."""
    label = f"Number of {what}"
    return _count(name, f"{label} in 12 months", label=label, clause=f"the number of {what} is {{}}", plain=plain)


# What the columns mean is said as the data dictionary of the public data has it. A balance is a debt: what is owed.
FEATURES: tuple[Feature, ...] = (
    _amount(
        "BALANCE",
        "Monthly average balance, which is what the customer owes on average",
        label="Average balance owed",
        clause="the average balance owed is {}",
        plain="How much the customer owes on the card, averaged over the months.",
        sortable=True,
    ),
    _frequency(
        "BALANCE_FREQUENCY",
        "Share of months with a balance",
        label="Months with a balance",
        clause="there is a balance in {} of months",
        plain="How often the customer owes something on the card: the share of months with a balance.",
    ),
    _yearly("PURCHASES", "purchases", "How much the customer bought with the card in 12 months.", sortable=True),
    _yearly(
        "ONEOFF_PURCHASES",
        "one-off purchases",
        "How much of what was bought in 12 months was charged in one go, not in instalments.",
    ),
    _yearly(
        "INSTALLMENTS_PURCHASES",
        "instalment purchases",
        "How much of what was bought in 12 months is paid off in instalments.",
    ),
    _yearly(
        "CASH_ADVANCE",
        "cash advances",
        "How much cash the customer drew on credit with the card in 12 months.",
        sortable=True,
    ),
    _active_months(
        "PURCHASES_FREQUENCY", "purchases", "How regularly the customer buys: the share of months with a purchase."
    ),
    _active_months(
        "ONEOFF_PURCHASES_FREQUENCY",
        "one-off purchases",
        "How regularly the customer buys in one go: the share of months with a one-off purchase.",
    ),
    _active_months(
        "PURCHASES_INSTALLMENTS_FREQUENCY",
        "instalment purchases",
        "How regularly the customer buys in instalments: the share of months with an instalment purchase.",
    ),
    # Twelve months in the numerator, TENURE (down to 6) in the denominator: real values reach 1.5.
    _active_months(
        "CASH_ADVANCE_FREQUENCY",
        "cash advances",
        "How regularly the customer draws cash on credit: the share of months with a cash advance.",
        maximum=2.0,
    ),
    _number("CASH_ADVANCE_TRX", "cash advances", "How many times the customer drew cash on credit in 12 months."),
    _number("PURCHASES_TRX", "purchases", "How many purchases the customer made with the card in 12 months."),
    _amount(
        "CREDIT_LIMIT",
        "Credit limit of the card",
        exclusive_minimum=True,
        nullable=True,
        label="Credit limit",
        clause="the credit limit is {}",
        plain="The most that the customer may owe on the card.",
        sortable=True,
    ),
    _yearly("PAYMENTS", "payments", "How much the customer paid back to the bank in 12 months.", sortable=True),
    _yearly(
        "MINIMUM_PAYMENTS",
        "minimum payments",
        "The least that the customer had to pay back in 12 months, added up; it grows with what is owed.",
        nullable=True,
    ),
    _frequency(
        "PRC_FULL_PAYMENT",
        "Share of months in which the balance was paid in full",
        label="Months paid in full",
        clause="the balance was paid in full in {} of months",
        plain="How often the customer pays the card off: the share of months in which all that was owed was paid back.",
    ),
    Feature(
        "TENURE",
        Kind.MONTHS,
        "Months as a customer, of the last 12",
        minimum=1,
        maximum=12,
        label="Months as a customer",
        clause="the time as a customer is {}",
        plain="For how many of the last 12 months the customer has had the card.",
    ),
    _amount(
        "AVERAGE_PURCHASE_TRX",
        "Mean amount of one purchase: PURCHASES / PURCHASES_TRX, 0 with no transactions",
        in_distance=False,
        derive=average_purchase,
        label="Average purchase",
        clause="the average purchase is {}",
        plain="What one purchase comes to on average: what was bought in 12 months by the number of purchases.",
    ),
)

INPUTS = tuple(f for f in FEATURES if f.derive is None)
DERIVED = tuple(f for f in FEATURES if f.derive is not None)
INPUT_NAMES = tuple(f.name for f in INPUTS)
REQUIRED_NAMES = tuple(f.name for f in INPUTS if not f.nullable)
DISTANCE = tuple(f for f in FEATURES if f.in_distance)
DISTANCE_NAMES = tuple(f.name for f in DISTANCE)
BY_NAME: Mapping[str, Feature] = {f.name: f for f in FEATURES}


def cust_id_fault(value: object) -> str | None:
    """Say why `value` cannot be a CUST_ID, or None when it can."""
    if not isinstance(value, str):
        return f"must be a string, not {_json_type(value)}"
    if not value:
        return "is empty"
    return None if _cust_id.fullmatch(value) else CUST_ID_RULE


def complete(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored form of a faultless customer's features.

    Every input is present (null where absent), in its stored type, and derived columns are recomputed. A customer that
    was stored before the dictionary had a required input goes on without it, and without what is derived from it.
    """
    row: dict[str, Any] = {f.name: f.normal(customer.get(f.name)) for f in INPUTS}
    gaps = lacking(row) if None in row.values() else []
    for name in gaps:
        del row[name]
    for f in DERIVED:
        assert f.derive is not None
        if gaps:
            with contextlib.suppress(KeyError):  # one of the gaps
                row[f.name] = f.derive(row)
        else:
            row[f.name] = f.derive(row)
    return row


def lacking(customer: Mapping[str, Any], required: Iterable[str] = REQUIRED_NAMES) -> list[str]:
    """Return the `required` inputs that a customer lacks, having been stored before the dictionary had them."""
    return [name for name in required if customer.get(name) is None]


def differs(given: float, computed: float) -> bool:
    """Whether a sent derived value is not the computed one, beyond rounding (relative 1e-6)."""
    return not math.isclose(given, computed, rel_tol=1e-6, abs_tol=1e-6)


def _json_type(value: object) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "another type")
