"""Amounts in the currency of the bank."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.money import Currency, in_unit, money, unit

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (money(1234.56), "1,235"),
        (money(12.3), "12.3"),
        (money(1234.56, "EUR"), "€1,235"),
        (money(12.3, "EUR"), "€12.30"),
        (money(12, "EUR"), "€12"),
        (money(0, "EUR"), "€0"),
        (money(-12.5, "USD"), "−$12.50"),
        (money(1234.5, "USD", 2), "$1,234.50"),
        (money(1234.567, "USD", 3), "$1,234.567"),
        (money(99.4, "JPY"), "¥99"),
        (money(1234, "CHF"), f"CHF{SPACE}1,234"),
        (money(1e-300, "EUR"), "€1e-300"),
        (money(None, "EUR"), "missing"),
        (money(float("nan")), "missing"),
        (in_unit(1594.2, "BALANCE", "EUR"), "€1,594"),
        (in_unit(0.25, "PURCHASES_FREQUENCY", "EUR"), "25%"),
        (in_unit(4, "CASH_ADVANCE_TRX", "EUR"), "4"),
        (unit("BALANCE", "EUR"), "EUR"),
        (unit("BALANCE"), "currency units"),
        (unit("TENURE", "EUR"), "months"),
    ],
)
def test_amounts_are_written_as_people_read_them(text: str, expected: str) -> None:
    assert text == expected


@given(st.floats(0, 1e12), st.sampled_from(["", "EUR", "USD", "JPY", "CHF"]))
def test_no_amount_is_written_as_nothing_unless_it_is(value: float, currency: str) -> None:
    text = money(value, currency)
    assert any(digit in text for digit in "123456789") == (value > 0)


@pytest.mark.parametrize("code", ["euro", "€", "XYZ1", "eur"])
def test_a_code_that_is_none_is_refused(code: str) -> None:
    with pytest.raises(ValidationError, match="ISO 4217"):
        TypeAdapter(Currency).validate_python(code)
