"""Amounts of money in the bank's currency; apart from typography, because Babel (Unicode CLDR) loads slowly."""

from __future__ import annotations

from typing import Annotated

from babel.numbers import format_decimal, get_currency_precision, get_currency_symbol, is_currency
from pydantic import AfterValidator

from shared.typography import WHOLE_FROM, number

_LOCALE = "en"
_MINUS = "\N{MINUS SIGN}"


def _iso_4217(code: str) -> str:
    if code and not is_currency(code, _LOCALE):
        raise ValueError("must be the code of a currency in ISO 4217, such as EUR or USD, or nothing")
    return code


Currency = Annotated[str, AfterValidator(_iso_4217)]
"""The code of a currency; with nothing in it, amounts are written without one."""


def money(value: float | None, currency: str = "") -> str:
    """Write an amount: "€1,234", "$12.50", "CHF 1,234"; from 100 on without decimals."""
    if value is None or value != value:
        return "missing"
    if not currency:
        return number(value, 0 if abs(value) >= WHOLE_FROM else 2)
    places = 0 if abs(value) >= WHOLE_FROM else get_currency_precision(currency)
    pattern = "#,##0" + ("." + "0" * places if places else "")
    symbol, digits = get_currency_symbol(currency, _LOCALE), format_decimal(abs(value), pattern, _LOCALE)
    apart = "\N{NO-BREAK SPACE}" if symbol[-1].isalpha() else ""
    return f"{_MINUS if value < 0 else ''}{symbol}{apart}{digits}"
