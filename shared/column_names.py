"""How a file may name the columns of the data dictionary: the one place for both tiers' readers of tables.

Letter case, spaces, hyphens, underscores, points and slashes do not matter: ``Credit limit`` is ``CREDIT_LIMIT``.
Beside that, a few names stand for a column because exports of card systems and copies of the public data use them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.features import CUST_ID, FEATURES, INPUTS

ALIASES: Mapping[str, Sequence[str]] = {
    CUST_ID: ("ID", "CUSTOMER", "CUSTOMER_ID", "CUSTOMER_NO", "CUSTOMER_NUMBER", "CLIENT_ID"),
    "PURCHASES": ("PURCHASE",),
    "ONEOFF_PURCHASES": ("ONEOFF_PURCHASE",),
    "INSTALLMENTS_PURCHASES": ("INSTALLMENT_PURCHASES", "INSTALMENT_PURCHASES", "INSTALMENTS_PURCHASES"),
    "CASH_ADVANCE": ("CASH_ADVANCES",),
    "PURCHASES_FREQUENCY": ("PURCHASE_FREQUENCY",),
    "ONEOFF_PURCHASES_FREQUENCY": ("ONEOFF_PURCHASE_FREQUENCY",),
    "PURCHASES_INSTALLMENTS_FREQUENCY": (
        "PURCHASE_INSTALLMENT_FREQUENCY",
        "PURCHASES_INSTALLMENT_FREQUENCY",
        "PURCHASES_INSTALMENTS_FREQUENCY",
    ),
    "CASH_ADVANCE_TRX": ("CASH_ADVANCE_TRANSACTIONS",),
    "PURCHASES_TRX": ("PURCHASE_TRX", "PURCHASE_TRANSACTIONS", "PURCHASES_TRANSACTIONS"),
    "PAYMENTS": ("PAYMENT",),
    "MINIMUM_PAYMENTS": ("MINIMUM_PAYMENT", "MIN_PAYMENT", "MIN_PAYMENTS"),
    "PRC_FULL_PAYMENT": ("PERCENT_FULL_PAYMENT", "PRC_FULL_PAYMENTS"),
    "TENURE": ("TENURE_MONTHS",),
}
"""Other names of columns; to be compared folded (`fold`), like all names."""

_separators = re.compile(r"[\s_./-]+")


def fold(name: str) -> str:
    """Return what is compared of a column's name."""
    return _separators.sub("", name).upper()


_COLUMNS: Mapping[str, str] = {
    fold(written): name
    for name in (CUST_ID, *(feature.name for feature in FEATURES))
    for written in (name, *ALIASES.get(name, ()))
}


class Header(NamedTuple):
    """What a table's header says.

    Attributes
    ----------
    places : where each column of the data dictionary stands, from 0.
    ignored : the columns that the data dictionary does not know, as they are written.
    missing : the inputs that must be there and are not; CUST_ID and what may be null are not among them.
    twice : the columns that are there more than once, and how they are written.
    """

    places: dict[str, int]
    ignored: list[str]
    missing: list[str]
    twice: dict[str, list[str]]


def read_header(names: Sequence[str]) -> Header:
    """Find the columns of the data dictionary among a table's columns."""
    written: dict[str, list[str]] = {}
    places: dict[str, int] = {}
    ignored = []
    for place, name in enumerate(names):
        if column := _COLUMNS.get(fold(name)):
            written.setdefault(column, []).append(name.strip())
            places.setdefault(column, place)
        else:
            ignored.append(name)
    missing = [feature.name for feature in INPUTS if not feature.nullable and feature.name not in places]
    return Header(places, ignored, missing, {column: names for column, names in written.items() if len(names) > 1})


def known_names(names: Sequence[str]) -> int:
    """Return how many of a table's columns the data dictionary knows: the best cut of a header has most of them."""
    return len({fold(name) for name in names} & _COLUMNS.keys())
