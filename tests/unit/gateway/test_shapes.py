"""Answers decoded into TypedDicts: everything that breaks the declared shape is refused, all else is let pass."""

from __future__ import annotations

import json
from typing import Any, Literal, NotRequired, TypedDict

import orjson
import pytest
from fakes.registry import drift, preview, training
from hypothesis import given
from hypothesis import strategies as st

from gateway.data_access.model_service.answers import decoded
from gateway.services.errors import ModelMalformed
from shared.model_contract import Drift, Preview, Training


class Inner(TypedDict):
    number: float
    kind: Literal["a", 1]


class Outer(TypedDict):
    name: str
    count: int
    flag: bool
    inner: Inner | None
    many: list[Inner]
    shares: dict[str, float]
    free: Any
    maybe: NotRequired[str | None]


INNER: dict[str, Any] = {"number": 0.5, "kind": "a"}
OUTER: dict[str, Any] = {
    "name": "x",
    "count": 1,
    "flag": True,
    "inner": None,
    "many": [],
    "shares": {},
    "free": {"any": [1, None]},
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"inner": INNER},
        {"many": [INNER, INNER | {"kind": 1}]},
        {"shares": {"a": 1, "b": 0.5}},
        {"free": None},
        {"maybe": None},
        {"maybe": "x"},
        {"another": "member"},
    ],
)
def test_what_fits_passes(change: dict[str, Any]) -> None:
    expected = {name: value for name, value in (OUTER | change).items() if name != "another"}
    assert decoded(Outer, orjson.dumps(OUTER | change)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": 1},
        {"count": True},
        {"count": 1.0},
        {"count": "1"},
        {"flag": 1},
        {"flag": None},
        {"inner": {}},
        {"inner": INNER | {"number": True}},
        {"inner": INNER | {"kind": "b"}},
        {"inner": INNER | {"kind": True}},
        {"inner": [INNER]},
        {"many": None},
        {"many": [None]},
        {"many": {"0": INNER}},
        {"many": [INNER, {}]},
        {"shares": [0.5]},
        {"shares": {"a": None}},
        {"maybe": 1},
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelMalformed):
        decoded(Outer, orjson.dumps(OUTER | change))


@pytest.mark.parametrize("name", OUTER)
def test_a_missing_member_is_refused_by_name(name: str) -> None:
    with pytest.raises(ModelMalformed, match=name):
        decoded(Outer, orjson.dumps({n: v for n, v in OUTER.items() if n != name}))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)
    | st.dictionaries(st.text(), st.none())
)
def test_anything_else_is_refused_and_nothing_worse_happens(value: Any) -> None:
    for kind in (Outer, Training, Drift, Preview):
        with pytest.raises(ModelMalformed):
            decoded(kind, json.dumps(value).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"name": "x"} x',
        b"[" * 100_000,
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"number": NaN, "kind": "a"}',
        b'{"number": 1e999, "kind": "a"}',
        b'{"number": ' + b"9" * 5000 + b', "kind": "a"}',
    ],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    for kind in (Outer, Inner):
        with pytest.raises(ModelMalformed):
            decoded(kind, text)


def test_the_wire_contract_can_be_decoded() -> None:
    for kind, answer in ((Training, training("t1")), (Drift, drift("v", 1)), (Preview, preview("a", "b", 1))):
        assert decoded(kind, orjson.dumps(answer)) == answer
