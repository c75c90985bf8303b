"""The query string of lists: limits and the opaque cursor."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.customers import cust_ids

from gateway.schemas.paging import DEFAULT_LIMIT, MAX_LIMIT, PAGE, Cursors, cursor_after
from gateway.schemas.queries import QueryReader, Values
from gateway.services.errors import InvalidInput
from shared.features import cust_id_fault


def load_page(query: dict[str, str]) -> Values:
    return QueryReader(PAGE).read(query.items())


def _pointers(query: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_page(query)
    return [error["pointer"] for error in caught.value.errors]


def _encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def test_without_parameters_it_is_the_first_page() -> None:
    assert load_page({}) == {"limit": DEFAULT_LIMIT}


@given(cust_ids, st.integers(1, MAX_LIMIT))
def test_a_cursor_leads_back_to_where_it_was_made(cust_id: str, limit: int) -> None:
    values = load_page({"cursor": cursor_after(cust_id), "limit": str(limit)})
    assert values == {"cursor": cust_id, "limit": limit}


@given(cust_ids)
def test_a_cursor_needs_no_escaping_in_an_address(cust_id: str) -> None:
    assert cursor_after(cust_id).replace("-", "").replace("_", "").isalnum()


def _read_or_refuse(cursor: str) -> None:
    """Hold that a cursor is refused, or is exactly what this service writes for some CUST_ID."""
    try:
        after = load_page({"cursor": cursor})["cursor"]
    except InvalidInput:
        return
    assert after is not None
    assert cust_id_fault(after) is None
    assert cursor_after(after) == cursor


@given(cust_ids, st.data())
def test_a_changed_cursor(cust_id: str, data: st.DataObject) -> None:
    cursor = cursor_after(cust_id)
    place = data.draw(st.integers(0, len(cursor) - 1))
    _read_or_refuse(cursor[:place] + data.draw(st.characters()) + cursor[place + 1 :])


@given(st.text() | st.binary().map(_encoded))
def test_any_text_as_a_cursor(text: str) -> None:
    _read_or_refuse(text)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "A",
        "=",
        "C10001",
        _encoded(b"C10001"),
        _encoded(b"2:C10001"),
        _encoded(b"1:"),
        _encoded(b"1:a/b"),
        _encoded(b"1:.."),
        _encoded(b"1:\xff"),
        _encoded(b"1:" + b"x" * 65),
        _encoded(b"1:{'$gt': ''}"),
        cursor_after("C10001") + "=",
        cursor_after("C10001") + "\n",
        " " + cursor_after("C10001"),
        "ä",
        "\ud800",
    ],
)
def test_a_cursor_that_is_not_ours(cursor: str) -> None:
    assert _pointers({"cursor": cursor}) == ["?cursor"]


@pytest.mark.parametrize("limit", ["1", "500", "007"])
def test_limits(limit: str) -> None:
    assert load_page({"limit": limit})["limit"] == int(limit)


@pytest.mark.parametrize(
    "limit", ["", "0", "501", "-1", "+1", "1.0", "1e2", " 1", "1_0", "\u0661", "²", "x", "9" * 5000]
)
def test_limits_out_of_bounds(limit: str) -> None:
    assert _pointers({"limit": limit}) == ["?limit"]


def test_every_wrong_parameter_is_named() -> None:
    assert _pointers({"limit": "0", "cursor": "!"}) == ["?limit", "?cursor"]


CURSORS = Cursors("a secret of the installation")
positions = st.lists(
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53) | cust_ids
)


def _refused(cursor: str, list_id: str = "") -> str:
    with pytest.raises(InvalidInput) as caught:
        CURSORS.read(cursor, list_id)
    (error,) = caught.value.errors
    assert error["pointer"] == "?cursor"
    return error["detail"]


@given(st.text("0123456789abcdef"), positions)
def test_a_signed_cursor_leads_back_to_where_it_was_made(list_id: str, position: list[object]) -> None:
    cursor = CURSORS.write(list_id, position)
    assert CURSORS.read(cursor, list_id) == position
    assert cursor.replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_a_signed_cursor_of_another_list() -> None:
    assert "another list" in _refused(CURSORS.write("one", ["A"]), "other")


def test_a_signed_cursor_of_another_installation() -> None:
    assert "unchanged" in _refused(Cursors("another secret").write("", ["A"]))


@given(positions, st.data())
def test_a_signed_cursor_that_was_changed(position: list[object], data: st.DataObject) -> None:
    cursor = CURSORS.write("", position)
    place = data.draw(st.integers(0, cursor.index(".")))
    changed = cursor[:place] + data.draw(st.characters()) + cursor[place + 1 :]
    if changed != cursor:
        assert "unchanged" in _refused(changed)


@given(st.text() | st.binary().map(_encoded) | cust_ids.map(cursor_after))
def test_any_text_as_a_signed_cursor(text: str) -> None:
    assert "unchanged" in _refused(text)


def test_a_signed_cursor_shows_neither_filters_nor_the_secret() -> None:
    place = base64.urlsafe_b64decode(CURSORS.write("a1", ["A"]).split(".")[0] + "==")
    assert place == b'["a1","A"]'
