"""Filters in a query string: every field, operator and value that there is, and clear refusals of all others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.customer_queries import filters, query_string

from gateway.data_access.mongo.customer_queries import mongo_filter
from gateway.schemas.customer_queries import EXPORT, MAX_CONDITIONS, MAX_IN, filters_of
from gateway.schemas.queries import QueryReader
from gateway.services.customers.query import FIELDS, SORTABLE, Condition, Filters, Op, SortKey, order_of
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID, FEATURES

_EXPORT = QueryReader(EXPORT)


def load_filters(query: Iterable[tuple[str, str]]) -> Filters:
    return filters_of(_EXPORT.read(query))


def _refused(name: str, value: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_filters([(name, value)])
    (error,) = caught.value.errors
    assert error["pointer"] == f"?{name}"
    return error["detail"]


@given(filters)
def test_what_is_written_is_what_is_read(wanted: Filters) -> None:
    pairs = query_string(wanted, [], 1)
    del pairs["limit"]
    assert load_filters(pairs.items()) == wanted


def test_a_field_alone_means_equal() -> None:
    assert load_filters([("segment", "seg-01"), ("BALANCE", "1.5"), ("borderline", "true")]) == (
        Condition("segment", Op.EQ, "seg-01"),
        Condition("BALANCE", Op.EQ, 1.5),
        Condition("borderline", Op.EQ, True),
    )


def test_what_exports_ask_besides_is_left_out() -> None:
    assert load_filters([("fields", "BALANCE"), ("format", "csv")]) == ()


def test_every_feature_can_be_compared_and_may_be_missing() -> None:
    for feature in FEATURES:
        ops = FIELDS[feature.name].ops
        assert set(ops) == {Op.EQ, Op.NE, Op.IN, Op.GT, Op.GTE, Op.LT, Op.LTE, Op.EXISTS}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("balance", "BALANCE"),
        ("BALANCE[", "not a known parameter"),
        ("BALANCE[]", "eq, ne, in, gt, gte, lt, lte"),
        ("BALANCE[$gt]", "eq, ne, in, gt, gte, lt, lte"),
        ("BALANCE[GT]", "eq, ne, in, gt, gte, lt, lte"),
        ("BALANCE[prefix]", "eq, ne, in, gt, gte, lt, lte"),
        ("BALANCE[gt][lt]", "not a known parameter"),
        ("segment[gt]", "eq, ne, in, exists"),
        ("borderline[ne]", "eq"),
        ("segment_status[in]", "eq"),
        ("created_at", "gt, gte, lt, lte"),
        ("created_at[exists]", "gt, gte, lt, lte"),
        ("CUST_ID[exists]", "prefix"),
        ("segment.id", "not a known parameter"),
        ("_id", "not a known parameter"),
        ("$where", "not a known parameter"),
        ("revision", "not a known parameter"),
        ("limit", "not a known parameter"),
        ("", "not a known parameter"),
    ],
)
def test_names_that_there_are_not(name: str, says: str) -> None:
    assert says in _refused(name, "1")


NUMBERS = [
    "",
    " 1",
    "1 ",
    "+1",
    "1e",
    "0x1",
    "1_0",
    "NaN",
    "Infinity",
    "-inf",
    "1e999",
    "null",
    "1,5",
    ".5",
    "٣",
    "9" * 31,
]
TIMES = [
    "",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00 02:00",
    "2026-01-01T00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T24:00:01Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00.Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "2026-01-01T00:00:00+25:00",
    "1767225600",
    "now",
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("BALANCE", value) for value in NUMBERS],
        *[("updated_at[gte]", value) for value in TIMES],
        ("BALANCE[in]", ""),
        ("BALANCE[in]", "1,,2"),
        ("BALANCE[in]", ",".join(["1"] * (MAX_IN + 1))),
        ("CREDIT_LIMIT[exists]", "1"),
        ("CREDIT_LIMIT[exists]", "True"),
        ("borderline", "yes"),
        ("segment", ""),
        ("segment", "a b"),
        ("segment", "x" * 65),
        ("segment_status", "done"),
        ("CUST_ID", ".."),
        ("CUST_ID", "a/b"),
        ("CUST_ID[prefix]", ""),
        ("CUST_ID[prefix]", "C*"),
        ("CUST_ID[gt]", "C\n"),
    ],
)
def test_values_that_break_the_rules(name: str, value: str) -> None:
    assert _refused(name, value).startswith(("must be", "at most"))


@pytest.mark.parametrize("text", ["0", "-0.0", "1.5", "-3", "1e3", "1E-3", "007", "0.1"])
def test_numbers(text: str) -> None:
    assert load_filters([("BALANCE[gt]", text)])[0].value == float(text)


@pytest.mark.parametrize(
    ("text", "down", "up"),
    [
        ("2026-01-31T12:00:00Z", 0, 0),
        ("2026-01-31t12:00:00z", 0, 0),
        ("2026-01-31T14:00:00+02:00", 0, 0),
        ("2026-01-31T12:00:00.123Z", 123, 123),
        ("2026-01-31T12:00:00.123000Z", 123, 123),
        ("2026-01-31T12:00:00.1234Z", 123, 124),
        ("2026-01-31T12:00:00.123000001Z", 123, 124),
        ("2026-01-31T12:00:00.9999Z", 999, 1000),
        ("2026-01-31T12:00:00.1230000000000000000000000000001Z", 123, 124),
    ],
)
def test_times_finer_than_those_stored_compare_as_they_should(text: str, down: int, up: int) -> None:
    def milliseconds(op: str) -> float:
        (condition,) = load_filters([(f"created_at[{op}]", text)])
        return (condition.value - datetime(2026, 1, 31, 12)).total_seconds() * 1000

    assert [round(milliseconds(op)) for op in ("gt", "lte", "gte", "lt")] == [down, down, up, up]


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59.999999999Z"])
@pytest.mark.parametrize("op", ["gt", "gte", "lt", "lte"])
def test_there_are_times_until_the_end_of_9999(text: str, op: str) -> None:
    (condition,) = load_filters([(f"created_at[{op}]", text)])
    assert condition.value == datetime(9999, 12, 31, 23, 59, 59, 999_000)


def test_every_wrong_parameter_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_filters([("BALANCE", "x"), ("nothing", "1"), ("TENURE", "1"), ("segment[lt]", "1"), ("TENURE", "2")])
    assert [e["pointer"] for e in caught.value.errors] == ["?BALANCE", "?nothing", "?segment[lt]", "?TENURE"]


def test_as_many_conditions_as_may_be() -> None:
    names = [f"{f.name}[{op}]" for f in FEATURES[:7] for op in ("gt", "lt", "ne")]
    assert len(load_filters([(name, "1") for name in names[:MAX_CONDITIONS]])) == MAX_CONDITIONS
    with pytest.raises(InvalidInput):
        load_filters([(name, "1") for name in names[: MAX_CONDITIONS + 1]])


@given(st.text() | st.sampled_from(sorted(FIELDS)), st.text(), st.text())
def test_any_text_is_answered_or_refused(field: str, op: str, value: str) -> None:
    answer = FakeGateway().client.get(CUSTOMERS, query_string={f"{field}[{op}]": value, field: value})
    assert answer.status_code in (200, 414, 422)
    if answer.status_code == 422:
        assert answer.get_json(force=True)["code"] == "validation_failed"


@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        ((), {}),
        ((Condition(CUST_ID, Op.PREFIX, "C10"),), {"_id": {"$gte": "C10", "$lt": "C10\x7f"}}),
        ((Condition("borderline", Op.EQ, True),), {"segment.confidence": {"$lt": 0.9}}),
        ((Condition("segment_status", Op.EQ, "pending"),), {"segment.id": None}),
        (
            (Condition("BALANCE", Op.GTE, 1.0), Condition("BALANCE", Op.LT, 5.0)),
            {"$and": [{"BALANCE": {"$gte": 1.0}}, {"BALANCE": {"$lt": 5.0}}]},
        ),
    ],
)
def test_what_mongodb_is_asked(wanted: Filters, query: dict[str, Any]) -> None:
    assert mongo_filter(wanted) == query


def test_sort_keys_are_fields_and_the_id_decides_at_last() -> None:
    assert set(SORTABLE) <= set(FIELDS)
    down = SortKey("BALANCE", descending=True)
    assert order_of([]) == (SortKey(CUST_ID),)
    assert order_of([down]) == (down, SortKey(CUST_ID, descending=True))
    assert order_of([down, SortKey("PAYMENTS")]) == (down, SortKey("PAYMENTS"), SortKey(CUST_ID))
    assert order_of([down, SortKey(CUST_ID), SortKey("PAYMENTS")]) == (down, SortKey(CUST_ID))
