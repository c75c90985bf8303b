"""Amounts of money in the bank's currency; apart from typography, because Babel (Unicode CLDR) loads slowly."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from babel.numbers import get_currency_precision, get_currency_symbol, is_currency
from pydantic import AfterValidator

from shared import typography
from shared.features import BY_NAME, Kind
from shared.typography import WHOLE_FROM, number

_LOCALE = "en"
_MINUS = "\N{MINUS SIGN}"


def _iso_4217(code: str) -> str:
    if code and not is_currency(code, _LOCALE):
        raise ValueError("must be the code of a currency in ISO 4217, such as EUR or USD, or nothing")
    return code


Currency = Annotated[str, AfterValidator(_iso_4217)]
"""The code of a currency; with nothing in it, amounts are written without one."""


def money(value: float | None, currency: str = "", decimals: int | None = None) -> str:
    """Write an amount: "€1,234", "$12.50", "CHF 1,234".

    Parameters
    ----------
    decimals : at most so many; those of the currency below 100 and none from there on, unless given.
    """
    if value is None or value != value:
        return "missing"
    cents = get_currency_precision(currency) if currency else 2
    places = (0 if abs(value) >= WHOLE_FROM else cents) if decimals is None else decimals
    if not currency:
        return number(value, places)
    text = number(abs(value), places)
    whole, point, part = text.partition(".")
    if part.isdigit():  # and not 1e-300
        text = f"{whole}{point}{part:0<{cents}}"
    return f"{_MINUS if value < 0 and text != '0' else ''}{_before(currency)}{text}"


@lru_cache(maxsize=32)
def _before(currency: str) -> str:
    """Return what stands before an amount."""
    symbol = get_currency_symbol(currency, _LOCALE)
    return f"{symbol}\N{NO-BREAK SPACE}" if symbol[-1].isalpha() else symbol


def in_unit(value: float | None, feature: str, currency: str = "") -> str:
    """Write a value of a feature as `typography.in_unit` does, and amounts in the currency."""
    if feature in BY_NAME and BY_NAME[feature].kind is Kind.AMOUNT:
        return money(value, currency)
    return typography.in_unit(value, feature)


def unit(feature: str, currency: str = "") -> str:
    """Return the unit of a feature's values, for people: the currency's code where there is one."""
    return currency if currency and BY_NAME[feature].kind is Kind.AMOUNT else BY_NAME[feature].unit
