"""How numbers and days are written for people, in every text, table and picture: one rule for each.

Thousands are separated by commas, percents follow their number without a blank, a minus is a minus and not a hyphen,
and what is not nothing is never written as nothing.
"""

from __future__ import annotations

from datetime import datetime

from shared.features import BY_NAME, Kind

WHOLE_FROM = 100
"""Amounts from this on are written without decimals."""

HUGE = 1e15
"""What is no smaller is no number of anything that is counted here."""

_SIZES = ((1e12, "tn"), (1e9, "bn"), (1e6, "M"), (1e3, "k"))


def number(value: float, decimals: int = 0) -> str:
    """Write a value with at most so many decimals: "1,234.5"; a huge one, and one that would be 0, in three digits."""
    text = f"{value:,.{decimals}f}"
    if abs(value) >= HUGE or (value and not text.strip("-0.")):
        text = f"{value:.3g}"
    elif decimals:
        text = text.rstrip("0").rstrip(".")
    return _minus("0" if text == "-0" else text)


def fixed(value: float, decimals: int) -> str:
    """Write a value with exactly so many decimals, for columns of figures that are compared: "0.950"."""
    return _minus(f"{round(value, decimals) + 0.0:,.{decimals}f}")  # + 0.0 turns -0.0 into 0.0


def signed(value: float, decimals: int = 1) -> str:
    """Write a difference with its sign: "+0.4", "−0.4", "0.0"."""
    text = fixed(value, decimals)
    return f"+{text}" if text.strip("0.,") and value > 0 else text


def percent(share: float, decimals: int = 1) -> str:
    """Write a share of 0 to 1 (or more): "24.8%"; "<0.1%" and ">99.9%" where rounding would say none or all."""
    text, least = f"{share:.{decimals}%}", 10.0**-decimals
    if 0 < share < 1 and not text.strip("0.%"):
        return f"<{least:.{decimals}f}%"
    if 0 < share < 1 and text == f"{1:.{decimals}%}":
        return f">{100 - least:.{decimals}f}%"
    return _minus(text)


def in_unit(value: float | None, feature: str) -> str:
    """Write a value of a feature, or of a share that is none of them, as a person would say it."""
    if value is None or value != value:
        return "missing"
    kind = BY_NAME[feature].kind if feature in BY_NAME else Kind.FREQUENCY
    if kind is Kind.FREQUENCY:
        return percent(value, 0)
    if kind is Kind.AMOUNT:
        return number(value, 0 if abs(value) >= WHOLE_FROM else 2)
    return number(value, 1)  # a count or months, or a mean of them


def short(value: float) -> str:
    """Write a round value on an axis, where there is little room: "10k", "2M"."""
    for size, letter in _SIZES:
        if abs(value) >= size:
            return _minus(f"{value / size:g}{letter}")
    return _minus(f"{value:g}")


def day(moment: str) -> str:
    """Write the day of an RFC 3339 time: "26 November 2026"; what is no time, as it is."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{found.day} {found:%B} {found.year}"


def _minus(text: str) -> str:
    return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") else text
