"""One typography for numbers, in texts, tables and pictures."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.typography import day, fixed, in_unit, number, percent, short, signed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(8950), "8,950"),
        (number(1234.56, 2), "1,234.56"),
        (number(1234.5, 2), "1,234.5"),
        (number(1000, 2), "1,000"),
        (number(0.001, 2), "0.001"),
        (number(0), "0"),
        (number(-0.0), "0"),
        (number(-3.5, 1), "−3.5"),
        (number(1e-300, 2), "1e-300"),
        (fixed(0.95, 3), "0.950"),
        (fixed(94669.3, 0), "94,669"),
        (fixed(-0.0001, 2), "0.00"),
        (signed(0.44), "+0.4"),
        (signed(-0.44), "−0.4"),
        (signed(0.01), "0.0"),
        (signed(-0.01), "0.0"),
        (percent(0.2482), "24.8%"),
        (percent(0), "0.0%"),
        (percent(1), "100.0%"),
        (percent(0, 0), "0%"),
        (percent(1, 0), "100%"),
        (percent(0.0001), "<0.1%"),
        (percent(0.9999), ">99.9%"),
        (percent(0.996, 0), ">99%"),
        (percent(0.004, 0), "<1%"),
        (percent(1.5, 0), "150%"),
        (short(0), "0"),
        (short(1), "1"),
        (short(10_000), "10k"),
        (short(2_000_000), "2M"),
        (short(1e9), "1bn"),
        (day("2026-11-26T17:13:20Z"), "26 November 2026"),
        (day("2026-01-02T00:00:00.123456Z"), "2 January 2026"),
        (day("yesterday"), "yesterday"),
        (in_unit(None, "MINIMUM_PAYMENTS"), "missing"),
        (in_unit(float("nan"), "MINIMUM_PAYMENTS"), "missing"),
        (in_unit(1234.56, "BALANCE"), "1,235"),
        (in_unit(12.34, "BALANCE"), "12.34"),
        (in_unit(0.0, "BALANCE"), "0"),
        (in_unit(7.0, "PURCHASES_TRX"), "7"),
        (in_unit(7.25, "PURCHASES_TRX"), "7.2"),
        (in_unit(0.5, "BALANCE_FREQUENCY"), "50%"),
        (in_unit(0.123, "UTILISATION"), "12%"),
    ],
)
def test_numbers_are_written_alike(text: str, expected: str) -> None:
    assert text == expected


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 4))
def test_only_zero_is_written_as_zero(value: float, decimals: int) -> None:
    assert (number(value, decimals) == "0") == (value == 0)


@given(st.floats(0, 1), st.integers(0, 2))
def test_only_nothing_and_everything_are_said_to_be_so(share: float, decimals: int) -> None:
    text = percent(share, decimals)
    assert re.fullmatch(r"[<>]?\d+(\.\d+)?%", text)
    assert (text == f"{0:.{decimals}%}") == (share == 0)
    assert (text == f"{1:.{decimals}%}") == (share == 1)
