"""The Idempotency-Key header field, and the customers that a body names."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.middleware.idempotency import LONGEST, customers_named, load_key
from gateway.services.errors import InvalidInput

visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=LONGEST)


@given(visible)
@example('"')
@example("\\")
@example("a,b")
@example("x" * LONGEST)
def test_any_visible_key_can_be_sent_as_a_string(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert load_key(f'"{escaped}"') == key


@given(visible.filter(lambda key: not set(key) & set('",')))
def test_a_key_without_quotation_marks_and_commas_can_be_sent_as_it_is(key: str) -> None:
    assert load_key(key) == load_key(f" {key}\t") == key


@given(st.text(max_size=300))
@example("")
@example('""')
@example('"')
@example('"a')
@example('a"')
@example('"a"b"')
@example('"a";p=1')
@example("a b")
@example('"a b"')
@example("one,two")
@example('"one", "two"')
@example("ключ")
@example("x" * (LONGEST + 1))
@example('"\\a"')
def test_whatever_else_is_sent_is_refused_or_is_a_key(field: str) -> None:
    with contextlib.suppress(InvalidInput):
        key = load_key(field)
        assert 1 <= len(key) <= LONGEST
        assert all("!" <= letter <= "~" for letter in key)


@pytest.mark.parametrize("field", ["", '""', '"a', 'a"b', '"a";p=1', "a b", "one,two", "ключ", "x" * 256])
def test_what_is_no_key_is_refused(field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_key(field)
    assert [fault["pointer"] for fault in caught.value.errors] == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"CUST_ID": "A"}, {"A"}),
        ({"customers": [{"CUST_ID": "A"}, {"CUST_ID": "B"}, {"CUST_ID": 7}, 5, None], "mode": []}, {"A", "B"}),
        ({"CUST_ID": 5, "customers": {"CUST_ID": "A"}}, set()),
        ([{"CUST_ID": "A"}], set()),
        (None, set()),
    ],
)
def test_customers_named(body: object, named: set[str]) -> None:
    assert customers_named(json.dumps(body).encode()) == named


@given(st.binary(max_size=50))
def test_customers_named_in_anything(body: bytes) -> None:
    assert isinstance(customers_named(body), set)
