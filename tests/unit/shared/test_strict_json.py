"""Strict JSON equals the standard library's on sound text, and refuses what would lose or bend data."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.strict_json import MAX_DEPTH, MalformedJSON, loads

_text = st.text(st.characters(exclude_categories=["Cs"]))
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
)
# Few names and many colons: where duplicates are looked for.
_names = st.sampled_from(["a", "b", ":", "a:b", "", '"', "\\", "ä:"]) | _text
_values = st.recursive(_scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(_names, v, max_size=4))


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@given(_values, st.booleans(), st.sampled_from([None, 1]))
def test_equals_the_standard_library(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert loads(text) == json.loads(text) == value


@given(_names, _values, _values, st.integers(0, 5), st.booleans())
def test_refuses_a_name_given_twice(name: str, first: Any, second: Any, depth: int, in_list: bool) -> None:
    one, two = (json.dumps(name, ensure_ascii=False), json.dumps(name))  # the same name, perhaps written differently
    twice = f"{{{one}: {json.dumps(first)}, {two}: {json.dumps(second)}}}"
    for _ in range(depth):
        twice = f"[{twice}]" if in_list else f'{{"in": {twice}}}'
    with pytest.raises(MalformedJSON, match="twice"):
        loads(twice.encode())


def test_a_duplicate_cannot_hide_behind_a_colon_in_a_string() -> None:
    with pytest.raises(MalformedJSON, match="'a' twice"):
        loads(b'{"a": 1, "b": ":", "a": 2}')


def test_the_same_name_in_different_objects_is_no_duplicate() -> None:
    assert loads(b'{"a": {"a": ":"}, "b": [{"a": 1}, {"a": 2}]}') == {"a": {"a": ":"}, "b": [{"a": 1}, {"a": 2}]}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": -1e400}',
        b'{"a": ' + b"9" * 400 + b"}",
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": 0x10}',
        b'{"a": 1_000}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": "tab\t"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1} {"a": 1}',
        b"// comment\n{}",
        "{}".encode("utf-16"),
    ],
)
def test_refuses_what_is_not_json(text: bytes) -> None:
    with pytest.raises(MalformedJSON, match="not valid JSON"):
        loads(text)


def test_depth_is_counted_in_levels() -> None:
    assert loads(_nested(MAX_DEPTH)) is not None
    with pytest.raises(MalformedJSON, match=f"more than {MAX_DEPTH} levels"):
        loads(_nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("depth", [500, 1000, 1023, 100_000])
def test_refuses_deep_nesting_of_any_size(depth: int) -> None:
    with pytest.raises(MalformedJSON):
        loads(_nested(depth))
    with pytest.raises(MalformedJSON):
        loads(b'{"a":' * depth + b"1" + b"}" * depth)


@pytest.mark.parametrize("depth", [100, 500, 1000, 1020])
def test_deep_nesting_cannot_hide_in_a_duplicate(depth: int) -> None:
    with pytest.raises(MalformedJSON):
        _deeper(400, b'{"a":' + _nested(depth) + b',"a":1}')


def _deeper(frames: int, text: bytes) -> Any:
    """Parse with little of the interpreter's stack left, as below a web framework."""
    assert frames < sys.getrecursionlimit() / 2
    return _deeper(frames - 1, text) if frames else loads(text)


def test_messages_name_what_is_wrong_and_stay_short() -> None:
    name = b"x" * 10_000
    with pytest.raises(MalformedJSON) as caught:
        loads(b'{"' + name + b'":1,"' + name + b'":2}')
    assert len(str(caught.value)) < 200
