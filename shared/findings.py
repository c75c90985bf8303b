"""Soft findings: what looks odd in a customer but is never a reason to refuse one.

The rules and how many of the 8,950 real rows each touches: docs/clustering-study.md, section 1 (all together 3.3 %).
A rule is written once and holds for the numbers of one customer as for the columns of many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from shared.columns import Column, Rows
from shared.features import BY_NAME, DERIVED, FEATURES, REQUIRED_NAMES, differs, lacking
from shared.typography import in_unit


class Finding(TypedDict):
    """One soft finding: the field it is about (JSON pointer), a stable code and a sentence."""

    pointer: str
    code: str
    detail: str


class ColumnFinding(NamedTuple):
    """A soft finding about many customers: the column, a stable code, a sentence, and which rows, shape (n_rows,)."""

    column: str
    code: str
    detail: str
    rows: Rows


class _Rule(NamedTuple):
    """``applies`` takes numbers or columns by name, NaN for null, and compares so that NaN means no.

    The sentence calls columns by their plain names: whoever reads it may not know the others.

    ``others`` are the columns beside `field` that it looks at; without one of them in the dictionary it is void.
    """

    field: str
    code: str
    detail: str
    applies: Callable[[Mapping[str, Any]], Any]
    others: tuple[str, ...] = ()


def _called(name: str) -> str:
    return BY_NAME[name].called if name in BY_NAME else name  # without it in the dictionary, its rules are void


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _mismatch(amount: str, sign: str) -> _Rule:
    return _Rule(
        amount,
        "zero_mismatch",
        f"{_sentence(_called(amount))} and {_called(sign)} do not agree on whether there was any activity",
        lambda c: (c[amount] > 0) != (c[sign] > 0),
        (sign,),
    )


def _above(part: str, whole: str) -> _Rule:
    detail = f"{_sentence(_called(part))} are more than {_called(whole)}"
    return _Rule(part, "frequency_above_total", detail, lambda c: c[part] > c[whole] + 1e-6, (whole,))


def _broken_identity(c: Mapping[str, Any]) -> Any:
    gap = abs(c["PURCHASES"] - (c["ONEOFF_PURCHASES"] + c["INSTALLMENTS_PURCHASES"]))
    return (gap > 1.0) & (gap > 0.01 * c["PURCHASES"])


def _times_limit(field: str, factor: float) -> Callable[[Mapping[str, Any]], Any]:
    return lambda c: c[field] > factor * c["CREDIT_LIMIT"]


def _missing(field: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda c: c[field] != c[field]  # only NaN differs from itself


_missing_minimum = _missing("MINIMUM_PAYMENTS")

_ALL_RULES = (
    _Rule(
        "PURCHASES",
        "purchase_identity",
        "Purchases in 12 months differ from one-off and instalment purchases together by more than 1%",
        _broken_identity,
        ("ONEOFF_PURCHASES", "INSTALLMENTS_PURCHASES"),
    ),
    _above("ONEOFF_PURCHASES_FREQUENCY", "PURCHASES_FREQUENCY"),
    _above("PURCHASES_INSTALLMENTS_FREQUENCY", "PURCHASES_FREQUENCY"),
    _mismatch("PURCHASES", "PURCHASES_TRX"),
    _mismatch("PURCHASES", "PURCHASES_FREQUENCY"),
    _mismatch("CASH_ADVANCE", "CASH_ADVANCE_TRX"),
    _mismatch("CASH_ADVANCE", "CASH_ADVANCE_FREQUENCY"),
    _Rule(
        "CASH_ADVANCE_FREQUENCY",
        "frequency_above_one",
        "Months with cash advances are above 100%: twelve were counted of somebody who has been a customer for fewer",
        lambda c: c["CASH_ADVANCE_FREQUENCY"] > 1,
    ),
    _Rule(
        "TENURE",
        "short_tenure",
        "The time as a customer is below 6 months, the shortest in the public data",
        lambda c: c["TENURE"] < 6,
    ),
    _Rule(
        "BALANCE",
        "over_limit",
        "The average balance owed is more than 1.1 times the credit limit",
        _times_limit("BALANCE", 1.1),
        ("CREDIT_LIMIT",),
    ),
    _Rule(
        "MINIMUM_PAYMENTS",
        "minimum_over_limit",
        "Minimum payments in 12 months are more than twice the credit limit",
        _times_limit("MINIMUM_PAYMENTS", 2.0),
        ("CREDIT_LIMIT",),
    ),
    _Rule(
        "MINIMUM_PAYMENTS",
        "missing_minimum",
        "Minimum payments are missing although there were payments; the model takes what is usual in their place",
        lambda c: _missing_minimum(c) & (c["PAYMENTS"] > 0),
        ("PAYMENTS",),
    ),
    _Rule(
        "CREDIT_LIMIT",
        "missing_limit",
        "The credit limit is missing; the model takes what is usual in its place",
        _missing("CREDIT_LIMIT"),
    ),
)

_REQUIRED = frozenset(REQUIRED_NAMES)
_RULES = tuple(rule for rule in _ALL_RULES if {rule.field, *rule.others} <= BY_NAME.keys())


def findings(customer: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> list[Finding]:
    """Return the soft findings about a faultless customer; what it lacks is no reason for any.

    Parameters
    ----------
    customer : the stored form (`shared.features.complete`).
    given : what the client sent, to compare derived columns with the computed ones.
    """
    rules: Sequence[_Rule] = _RULES
    if not customer.keys() >= _REQUIRED:
        gaps = set(lacking(customer))
        rules = [rule for rule in _RULES if gaps.isdisjoint((rule.field, *rule.others))]
    values = _with_nan(customer)
    found = [Finding(pointer=f"/{r.field}", code=r.code, detail=r.detail) for r in rules if r.applies(values)]
    for f in DERIVED:
        sent = (given or {}).get(f.name)
        if sent is not None and f.name in customer and differs(sent, customer[f.name]):
            detail = f"{f.label} was sent as {sent:g}; the computed {customer[f.name]:g} is used"
            found.append(Finding(pointer=f"/{f.name}", code="derived_differs", detail=detail))
    return found


def column_findings(columns: Mapping[str, Column]) -> Iterator[ColumnFinding]:
    """Yield the soft findings about many faultless customers, those of `findings` without derived columns.

    Parameters
    ----------
    columns : float64 of shape (n_rows,) for every input feature, in its unit; NaN stands for null.
    """
    for rule in _RULES:
        rows: Rows = rule.applies(columns)
        if rows.any():
            yield ColumnFinding(rule.field, rule.code, rule.detail, rows)


def outside_training_range(column: str, low: float, high: float) -> Finding:
    """Return the finding that a value is beyond nearly all of those that a model was trained on.

    Parameters
    ----------
    low, high : the column's 0.1 % and 99.9 % quantiles in training, in its unit.
    """
    usual = f"{in_unit(low, column)} to {in_unit(high, column)}"
    detail = f"{BY_NAME[column].label}: outside of what 99.8% of the training customers have, {usual}"
    return Finding(pointer=f"/{column}", code="outside_training_range", detail=detail)


_NULLABLE = tuple(f.name for f in FEATURES if f.nullable)


def _with_nan(customer: Mapping[str, Any]) -> Mapping[str, Any]:
    missing = {name: math.nan for name in _NULLABLE if customer.get(name) is None}
    return {**customer, **missing} if missing else customer
