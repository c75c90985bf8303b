"""NDJSON customers: each line is judged as a request for one customer would be."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from contracts.customers import assignment
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from support.customers import any_numbers, body, cust_ids, faultless, stored

from gateway.files.reader import CustomerFile
from gateway.schemas.customers import customer_schema
from gateway.services.errors import InvalidInput
from gateway.services.imports.source import RowFault
from shared.customer_files.ndjson import OWN_FIELDS
from shared.customer_files.text import MAX_LINE
from shared.features import CUST_ID, FEATURES, INPUTS, complete
from shared.model_contract import NDJSON

_json_schema = customer_schema()


def read(content: bytes, batch_rows: int = 1_000) -> tuple[list[tuple[str, Any]], list[RowFault], int]:
    batches = list(CustomerFile(NDJSON, [content], batch_rows=batch_rows).batches())
    return (
        [c for b in batches for c in b.customers],
        [f for b in batches for f in b.faults],
        sum(b.rejected for b in batches),
    )


def refused(line: str) -> list[tuple[int, str | None, str]]:
    _, faults, rejected = read(f"{json.dumps(body('A'))}\n{line}\n".encode())
    assert rejected == bool(faults)
    return [(fault["line"], fault["column"], fault["detail"]) for fault in faults]


_any_value = any_numbers() | st.booleans() | st.sampled_from(["5", "x", [], {}, [1]])
_changes = st.dictionaries(st.sampled_from([f.name for f in INPUTS]), _any_value, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["A", "b.c", "a b", ""]), _changes), max_size=5), st.integers(1, 4))
def test_agrees_with_the_json_schema(rows: list[tuple[str, dict[str, Any]]], batch_rows: int) -> None:
    sent = [{**body(i), **changes} for i, changes in rows]
    customers, faults, rejected = read(b"\n".join([*map(orjson.dumps, sent), b"\n"]), batch_rows)
    expected, wrong = [], []
    for line, one in enumerate(sent, start=1):
        try:
            loaded = _json_schema.load(orjson.loads(orjson.dumps(one)))
            cust_id = loaded.pop(CUST_ID)
            if cust_id in dict(expected):
                wrong.append((line, CUST_ID))
            else:
                expected.append((cust_id, complete(loaded)))
        except ValidationError as error:
            wrong += [(line, column) for column in error.messages_dict]
    assert repr(customers) == repr(expected)
    assert sorted((f["line"], f["column"] or "") for f in faults) == sorted(wrong)
    assert rejected == len({line for line, _ in wrong})


@given(
    st.lists(st.tuples(cust_ids, faultless()), max_size=5, unique_by=lambda row: row[0]),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r"]),
)
def test_reads_what_json_writes(rows: list[tuple[str, dict[str, Any]]], newline: bytes) -> None:
    content = newline.join([*(orjson.dumps({CUST_ID: i, **features}) for i, features in rows), newline])
    assert repr(read(content)[0]) == repr([(i, complete(features)) for i, features in rows])


def test_an_export_comes_back_as_it_is() -> None:
    exported = [stored("A", assignment()), stored("B")]
    customers = CustomerFile(NDJSON, [b"\n".join(orjson.dumps(c, option=orjson.OPT_NAIVE_UTC) for c in exported)])
    (batch,) = customers.batches()
    assert batch.faults == []
    assert [i for i, _ in batch.customers] == ["A", "B"]
    assert all(features == {f.name: exported[0][f.name] for f in FEATURES} for _, features in batch.customers)
    assert set(customers.ignored_columns) == OWN_FIELDS


@pytest.mark.parametrize(
    ("line", "column", "detail"),
    [
        ("{", None, "is not valid JSON, from character "),
        (json.dumps(body("B")) + ",", None, "is not valid JSON"),
        ('{"BALANCE": NaN}', None, "is not valid JSON"),
        (json.dumps(body("B"))[:-1] + ', "TENURE": 12}', None, "has a name twice, or is nested too deep"),
        ("5", None, "must be an object"),
        (json.dumps(body("B", Note=1)), "Note", "is not a known field"),
        (json.dumps(body("B", C10001=1)), None, "is not a known field"),
        (json.dumps(body("B", BALANCE="5")), "BALANCE", "must be a number, not a string"),
        (json.dumps({**body("B"), CUST_ID: 5.5}), CUST_ID, "must be a string, not a number"),
        (json.dumps({**body("B"), CUST_ID: True}), CUST_ID, "must be a string, not a boolean"),
        ("x" * (MAX_LINE + 10), None, "is longer than 65,536 characters"),
        ("\0", None, "is not valid JSON"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_with_a_line(line: str, column: str | None, detail: str) -> None:
    ((number, where, said),) = refused(line)
    assert (number, where) == (2, column)
    assert said.startswith(detail)


def test_blank_lines_count_as_lines_only() -> None:
    customers, faults, _ = read(b"\xef\xbb\xbf\n" + orjson.dumps(body("A")) + b"\n  \n{}\n")
    assert [i for i, _ in customers] == ["A"]
    assert {fault["line"] for fault in faults} == {4}


@pytest.mark.parametrize("content", [b"[", b' [{"CUST_ID": "A"}]', b"\n[\n"])
def test_a_json_array_is_no_such_file(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="JSON array"):
        CustomerFile(NDJSON, [content])


def test_an_empty_file_is_none() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        CustomerFile(NDJSON, [])
    assert read(b"\n") == ([], [], 0)
