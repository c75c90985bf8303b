"""Every way to write customers down, through both tiers: what is stored is what a model is fitted on, to the last bit.

The rules are in the table of data/README.md ("How files are read"), whose rows are those of `CASES`.
"""

from __future__ import annotations

import io
import json
import math
import struct
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from support.customers import body
from support.parquet_in_process import ProgramInProcess

from gateway.files.reader import CustomerFile
from gateway.services.errors import InvalidInput
from model_service.training.dataset import FileOfCustomers
from model_service.training.errors import DataRefused
from shared.customer_files import reader
from shared.customer_files.header import read_mapping
from shared.features import CUST_ID, INPUT_NAMES, complete
from shared.model_contract import CSV, NDJSON, PARQUET

COLUMNS = [CUST_ID, *INPUT_NAMES]
HEADER = ",".join(COLUMNS)
SUFFIX = {CSV: ".csv", NDJSON: ".ndjson", PARQUET: ".parquet"}


@dataclass
class Case:
    """A file and what it says.

    Attributes
    ----------
    customers : the customers that are read, by id, with what differs from `body`.
    faults : (line, column) of the others.
    """

    content: bytes
    customers: Mapping[str, Mapping[str, Any]]
    media_type: str = CSV
    faults: list[tuple[int, str | None]] = field(default_factory=list)
    blank: int = 0
    words: Mapping[str, int] = field(default_factory=dict)
    ignored: list[str] | None = None
    read_from: Mapping[str, str] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    columns: str | None = None


def row(cust_id: str = "A", separator: str = ",", **changes: Any) -> str:
    return separator.join(str(value) for value in body(cust_id, **changes).values())


def text(*lines: str, header: str = HEADER, newline: str = "\n") -> bytes:
    return newline.join([header, *lines, ""]).encode()


def ndjson(*rows: Mapping[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def table(*rows: dict[str, Any], **columns: pa.Array) -> bytes:
    """Parquet of some rows, with other columns in place of theirs, or beside them."""
    written = pa.Table.from_pylist([body(**one) for one in rows])
    for name, values in columns.items():
        place = written.schema.get_field_index(name)
        written = written.append_column(name, values) if place < 0 else written.set_column(place, name, values)
    sink = io.BytesIO()
    parquet.write_table(written, sink)
    return sink.getvalue()


A, AB = {"A": {}}, {"A": {}, "B": {}}
TWO = ({"cust_id": "A"}, {"cust_id": "B"})
BLANK = "," * (len(COLUMNS) - 1)
MISSING = {"MINIMUM_PAYMENTS": None}
EXACT = Decimal("3393.68")
UUID = uuid.UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")


def number(value: int, kind: pa.DataType) -> Any:
    return Decimal(value) if pa.types.is_decimal(kind) else value


def words_case(word: str) -> Case:
    lines = [row("A"), row("B", MINIMUM_PAYMENTS=word), row("C", CREDIT_LIMIT=f" {word} "), row("D", BALANCE=word)]
    customers = {"A": {}, "B": MISSING, "C": {"CREDIT_LIMIT": None}}
    return Case(text(*lines), customers, faults=[(5, "BALANCE")], words={word: 2})


def semicolons(*lines: str) -> bytes:
    return text(*lines, header=";".join(COLUMNS))


def sent(cust_id: Any = "A", **changes: Any) -> dict[str, Any]:
    return {**body(), CUST_ID: cust_id, **changes}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in sent().items() if name not in names}


CASES: dict[str, Case] = {
    # --- missing values
    **{
        f"word {word}": words_case(word) for word in ("NA", "NULL", "null", "NaN", r"\N", "#N/A", "n/a", "None", "<NA>")
    },
    "word that may be an id": Case(text(row("NULL"), row("NA")), {"NULL": {}, "NA": {}}),
    "word in quotes": Case(text(row("A", MINIMUM_PAYMENTS='"NA"')), {"A": MISSING}, words={"NA": 1}),
    "blank": Case(
        text(row("A", MINIMUM_PAYMENTS=""), row("B", CREDIT_LIMIT='" "')), {"A": MISSING, "B": {"CREDIT_LIMIT": None}}
    ),
    "null in JSON": Case(ndjson(sent(**MISSING)), {"A": MISSING}, NDJSON),
    "absent in JSON": Case(ndjson(without("MINIMUM_PAYMENTS")), {"A": MISSING}, NDJSON),
    "blank texts in JSON": Case(
        ndjson(sent(MINIMUM_PAYMENTS=""), sent("B", CREDIT_LIMIT=" \u00a0"), sent("C", BALANCE="")),
        {"A": MISSING, "B": {"CREDIT_LIMIT": None}},
        NDJSON,
        faults=[(3, "BALANCE")],
    ),
    "word in JSON": Case(
        ndjson(sent(MINIMUM_PAYMENTS="NA"), sent("B", BALANCE="NA")),
        {"A": MISSING},
        NDJSON,
        faults=[(2, "BALANCE")],
        words={"NA": 1},
    ),
    "null in Parquet": Case(
        table(*TWO, MINIMUM_PAYMENTS=pa.array([None, 1.0])), {"A": MISSING, "B": {"MINIMUM_PAYMENTS": 1.0}}, PARQUET
    ),
    "NaN in Parquet": Case(
        table(*TWO, MINIMUM_PAYMENTS=pa.array([math.nan, 1.0]), BALANCE=pa.array([1.0, math.nan])),
        {"A": {**MISSING, "BALANCE": 1.0}},
        PARQUET,
        faults=[(3, "BALANCE")],
        words={"NaN": 1},
    ),
    "null type": Case(table(*TWO, MINIMUM_PAYMENTS=pa.nulls(2)), {"A": MISSING, "B": MISSING}, PARQUET),
    "null type of a column that must be there": Case(
        table(*TWO, BALANCE=pa.nulls(2)), {}, PARQUET, faults=[(2, "BALANCE"), (3, "BALANCE")]
    ),
    # --- rows of nothing
    "blank rows": Case(text(row("A"), BLANK, row("B"), "", BLANK, BLANK), AB, blank=4),
    "blank rows of semicolons": Case(semicolons(row("A", ";"), BLANK.replace(",", ";")), A, blank=1),
    "rows of other separators": Case(text(row("A"), ";;;;;", "|||"), A, blank=2),
    "rows of blanks": Case(
        text(row("A"), BLANK.replace(",", " , "), "   ", "\t", BLANK.replace(",", "\u00a0,")), A, blank=4
    ),
    "quoted blanks": Case(
        text(row("A"), ",".join(['""'] * len(COLUMNS)), ",".join(['" "'] * len(COLUMNS))), A, blank=2
    ),
    "Ctrl-Z": Case(text(row("A"), "\x1a")[:-1], A, blank=1),
    "a row with one cell left": Case(
        text(row("A"), f"B{BLANK}", f"{BLANK}12", BLANK.replace(",", ",Total,", 1)[1:]),
        A,
        faults=[(3, None), (4, None), (5, None)],
    ),
    "a row with a note alone": Case(
        text(f"{row('A')},x", f"{BLANK},note", header=f"{HEADER},NOTE"), A, faults=[(3, None)]
    ),
    "blank lines of JSON": Case(
        ndjson(sent()) + b"\n\n \n" + ndjson(dict.fromkeys(COLUMNS)) + b"\n\x1a", A, NDJSON, blank=4
    ),
    "rows of blank texts in JSON": Case(
        ndjson(sent(), dict.fromkeys(COLUMNS, ""), {**dict.fromkeys(COLUMNS), CUST_ID: " "}), A, NDJSON, blank=2
    ),
    "a row of blank texts but for its id in JSON": Case(
        ndjson(sent(), {**dict.fromkeys(COLUMNS, ""), CUST_ID: "B"}), A, NDJSON, faults=[(2, None)]
    ),
    "the header again": Case(text(row("A"), HEADER, f"\ufeff{HEADER}", row("B")), AB, faults=[(3, None), (4, None)]),
    "an object with one member": Case(ndjson(sent(), {CUST_ID: "B"}, {}), A, NDJSON, faults=[(2, None), (3, None)]),
    "rows of nulls": Case(
        table({"cust_id": "A"}, {"cust_id": None, **dict.fromkeys(INPUT_NAMES)}), A, PARQUET, blank=1
    ),
    "a row of nulls but for its id": Case(
        table({"cust_id": "A"}, {"cust_id": "B", **dict.fromkeys(INPUT_NAMES)}), A, PARQUET, faults=[(3, None)]
    ),
    # --- numbers
    **{
        f"BALANCE as {kind}": Case(
            table(*TWO, BALANCE=pa.array([EXACT, Decimal("0.1")], kind)),
            {"A": {"BALANCE": 3393.68}, "B": {"BALANCE": 0.1}},
            PARQUET,
        )
        for kind in (pa.decimal128(6, 2), pa.decimal128(18, 5), pa.decimal128(38, 9), pa.decimal256(76, 40))
    },
    **{
        f"TENURE as {kind}": Case(
            table(*TWO, TENURE=pa.array([number(12, kind), number(1, kind)], kind)),
            {"A": {"TENURE": 12}, "B": {"TENURE": 1}},
            PARQUET,
        )
        for kind in (
            pa.decimal128(3, 0),
            pa.decimal128(18, 5),
            pa.decimal128(38, 36),
            pa.decimal256(60, 50),
            pa.int8(),
            pa.uint64(),
            pa.float16(),
            pa.float32(),
        )
    },
    "a fraction of a decimal": Case(
        table(*TWO, TENURE=pa.array([Decimal("12.00"), Decimal("11.50")])), A, PARQUET, faults=[(3, "TENURE")]
    ),
    "a dictionary of numbers": Case(
        table(*TWO, BALANCE=pa.array([7.5, 0.1]).dictionary_encode()),
        {"A": {"BALANCE": 7.5}, "B": {"BALANCE": 0.1}},
        PARQUET,
    ),
    "infinity": Case(
        table(*TWO, BALANCE=pa.array([math.inf, 7.5])), {"B": {"BALANCE": 7.5}}, PARQUET, faults=[(2, "BALANCE")]
    ),
    "zero with a sign": Case(
        text(row("A", BALANCE="-0"), row("B", PURCHASES_TRX="-0.0", PURCHASES=-0.0)),
        {"A": {"BALANCE": 0.0}, "B": {"PURCHASES_TRX": 0, "PURCHASES": 0.0}},
    ),
    "zero with a sign in JSON": Case(ndjson(sent(BALANCE=-0.0)), {"A": {"BALANCE": 0.0}}, NDJSON),
    "zero with a sign in Parquet": Case(
        table(*TWO, BALANCE=pa.array([-0.0, 7.5])), {"A": {"BALANCE": 0.0}, "B": {"BALANCE": 7.5}}, PARQUET
    ),
    "long decimals in CSV": Case(
        text(row("A", BALANCE="3393.68000000000000000000", TENURE="12.000")), {"A": {"BALANCE": 3393.68}}
    ),
    "German thousands": Case(
        semicolons(row("A", ";", BALANCE="7.500"), row("B", ";", PURCHASES="7.500", BALANCE="1234,56")),
        {"A": {"BALANCE": 7.5}},
        faults=[(3, "BALANCE")],
        codes=["decimal_point_among_commas"],
    ),
    "German thousands after the commas": Case(
        text(row("B", BALANCE='"1234,56"'), row("A", BALANCE="7.500"), row("C", BALANCE="0.125")),
        {"A": {"BALANCE": 7.5}, "C": {"BALANCE": 0.125}},
        faults=[(2, "BALANCE")],
        codes=["decimal_point_among_commas"],
    ),
    "three decimals where points are": Case(semicolons(row("A", ";", BALANCE="7.500")), {"A": {"BALANCE": 7.5}}),
    # --- ids
    **{
        f"ids as {kind}": Case(table(*TWO, CUST_ID=pa.array(["A", "B"]).cast(kind)), AB, PARQUET)
        for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())
    },
    "UUIDs for ids": Case(
        table(*TWO, CUST_ID=pa.array([UUID.bytes, None], pa.uuid())), {str(UUID): {}}, PARQUET, faults=[(3, CUST_ID)]
    ),
    "ids of one width": Case(table(*TWO, CUST_ID=pa.array([b"A ", b"B "], pa.binary(2))), AB, PARQUET),
    "ids in a dictionary": Case(table(*TWO, CUST_ID=pa.array(["A", "B"]).dictionary_encode()), AB, PARQUET),
    "ids in a dictionary of bytes": Case(table(*TWO, CUST_ID=pa.array([b"A", b"B"]).dictionary_encode()), AB, PARQUET),
    "ids that are no text": Case(table(*TWO, CUST_ID=pa.array([b"A", b"\xff"])), A, PARQUET, faults=[(3, CUST_ID)]),
    "ids with blanks around": Case(table(*TWO, CUST_ID=pa.array([" A", "B\t "])), AB, PARQUET),
    "ids with blanks around in CSV": Case(text(row(" A"), row("B\u00a0")), AB),
    "ids with blanks around in JSON": Case(ndjson(sent(" A"), sent("B\t")), AB, NDJSON),
    "whole numbers for ids": Case(table(*TWO, CUST_ID=pa.array([7, 2**60])), {"7": {}, str(2**60): {}}, PARQUET),
    "decimals for ids": Case(
        table(*TWO, CUST_ID=pa.array([Decimal("100.00"), Decimal("2.50")])), {"100": {}}, PARQUET, faults=[(3, CUST_ID)]
    ),
    "whole numbers for ids in JSON": Case(
        ndjson(sent(7), sent(2**60), sent(1.5), sent(True)),
        {"7": {}, str(2**60): {}},
        NDJSON,
        faults=[(3, CUST_ID), (4, CUST_ID)],
    ),
    "an id twice": Case(text(row("A"), row("A", BALANCE=5), row("B")), AB, faults=[(3, CUST_ID)]),
    # --- names of columns
    "letter case in CSV": Case(text(row("A"), header=HEADER.lower()), A),
    "letter case in JSON": Case(ndjson({name.lower(): value for name, value in sent().items()}), A, NDJSON),
    "aliases in JSON": Case(
        ndjson({"customer_id": "A", "Purchase": 200.0, **without(CUST_ID, "PURCHASES")}),
        A,
        NDJSON,
        read_from={CUST_ID: "customer_id", "PURCHASES": "Purchase"},
    ),
    "alias beside the exact name": Case(
        text(f"0,{row('A')}", header=f"ID,{HEADER}"), A, ignored=["ID"], codes=["alias_ignored"]
    ),
    "alias beside the exact name in JSON": Case(
        ndjson({"id": 0, **sent()}, {"id": 1, **sent("B")}), AB, NDJSON, ignored=["id"], codes=["alias_ignored"]
    ),
    "alias beside the exact name in Parquet": Case(
        table(*TWO, ID=pa.array([0, 1])), AB, PARQUET, ignored=["ID"], codes=["alias_ignored"]
    ),
    "two names in JSON": Case(ndjson(sent(), {"cust_id": "B", **sent("B")}), A, NDJSON, faults=[(2, CUST_ID)]),
    "alias alone": Case(
        text(row("A"), header=HEADER.replace(CUST_ID, "Customer ID")), A, read_from={CUST_ID: "Customer ID"}
    ),
    "mapped": Case(
        text(f"1,{row('A')}", header="ID," + HEADER.replace("CUST_ID", "Account").replace("BALANCE,", "Saldo,", 1)),
        A,
        columns="CUST_ID:ACCOUNT,BALANCE:Saldo",
        read_from={CUST_ID: "Account", "BALANCE": "Saldo"},
        ignored=["ID"],
        codes=["alias_ignored"],
    ),
    "mapped with an umlaut of two characters": Case(
        text(row("A"), header=HEADER.replace("BALANCE,", "U\u0308berschuss,", 1)),
        A,
        read_from={"BALANCE": "U\u0308berschuss"},
        columns="BALANCE:\u00dcberschuss",
    ),
    "mapped in JSON": Case(
        ndjson({"Account, no": 7, **without(CUST_ID)}),
        {"7": {}},
        NDJSON,
        columns='"CUST_ID:Account, no"',
        read_from={CUST_ID: "Account, no"},
    ),
    "mapped in Parquet": Case(
        table(*TWO, ACCOUNT=pa.array(["X", "Y"])),
        {"X": {}, "Y": {}},
        PARQUET,
        columns="CUST_ID:ACCOUNT",
        read_from={CUST_ID: "ACCOUNT"},
        ignored=[CUST_ID],
        codes=["alias_ignored"],
    ),
    "unknown column": Case(text(f"x,{row('A')}", header=f"NOTE,{HEADER}"), A, ignored=["NOTE"]),
    "Windows-1252 in an ignored column": Case(
        text(f"{row('A')},M\u00fcller", header=f"{HEADER},NAME").decode().encode("cp1252"), A, ignored=["NAME"]
    ),
    "Windows-1252 in an id": Case(
        text(row("M\u00fcller"), row("A")).decode().encode("cp1252"), A, faults=[(2, CUST_ID)]
    ),
    # --- how CSV is written
    "sep line": Case(b"sep=;\r\n" + semicolons(row("A", ";"), row("B", ";")), AB),
    "sep line in quotes": Case(b'"SEP=;"\n' + semicolons(row("A", ";")), A),
    "sep line of another mark": Case(b"sep=^\n" + text(row("A", "^"), header="^".join(COLUMNS)), A),
    "sep line that is wrong": Case(b"sep=;\n" + text(row("A")), A),
    "bars": Case(text(row("A", "|"), header="|".join(COLUMNS)), A),
    "tabs": Case(text(row("A", "\t"), header="\t".join(COLUMNS)), A),
    "blank before quotes": Case(
        text(
            *(", ".join(f'"{cell}"' for cell in row(i).split(",")) for i in "AB"),
            header=", ".join(f'"{name}"' for name in COLUMNS),
        ),
        AB,
    ),
    "blank after quotes": Case(
        text(
            *(" , ".join(f'"{cell}"' for cell in row(i).split(",")) + " " for i in "AB"),
            header=" ,".join(f'"{name}"' for name in COLUMNS),
        ),
        AB,
    ),
    "byte order mark twice": Case(b"\xef\xbb\xbf" * 2 + text(row("A")), A),
    "byte order mark that was read as Windows-1252": Case("\u00ef\u00bb\u00bf".encode() + text(row("A")), A),
    "byte order mark in quotes": Case(b"\xef\xbb\xbf" + text(row("A"), header=f'"\ufeffCUST_ID"{HEADER[7:]}'), A),
    "byte order mark twice in JSON": Case(b"\xef\xbb\xbf" * 2 + ndjson(sent()), A, NDJSON),
    "marks around lines of JSON": Case(
        b"\x1e" + ndjson(sent()) + b"\n\xef\xbb\xbf" + ndjson(sent("B")) + b"\x1a", AB, NDJSON
    ),
    "titles": Case(
        b'"Customers, all of them"\n\nas of;2026\n' + text(row("A"), row("a b")),
        A,
        faults=[(6, CUST_ID)],
        codes=["title_lines"],
    ),
    "titles and a sep line": Case(b"sep=;\nExport\n" + semicolons(row("A", ";")), A, codes=["title_lines"]),
    "separators at the end": Case(
        text(f"{row('A')},,", f"{row('B')},x", f"{row('C')}, "), {"A": {}, "C": {}}, faults=[(3, None)]
    ),
    "CRLF": Case(text(row("A"), row("B"), newline="\r\n"), AB),
    "CR": Case(text(row("A"), row("B"), newline="\r"), AB),
}


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "ParquetProgram", ProgramInProcess)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_both_tiers_read_the_same(case: Case, tmp_path: Path) -> None:
    expected = {i: complete({**body(), **changes}) for i, changes in case.customers.items()}
    columns = read_mapping(case.columns) if case.columns else None
    with closing(CustomerFile(case.media_type, [case.content], mapping=columns)) as file:
        batches = list(file.batches())
        stored = dict(customer for batch in batches for customer in batch.customers)
        assert repr(stored) == repr(expected)
        assert [(f["line"], f["column"]) for batch in batches for f in batch.faults] == case.faults
        assert file.blank_rows == case.blank
        assert file.missing_words == case.words
        assert [warning["code"] for batch in batches for warning in batch.warnings] == case.codes
        if case.ignored is not None:
            assert file.ignored_columns == case.ignored
        assert case.read_from.items() <= {c["column"]: c["read_from"] for c in file.columns}.items()
    assert trained_on(case, tmp_path) == {i: bits(features) for i, features in expected.items()}


def trained_on(case: Case, folder: Path) -> dict[str, bytes]:
    """Return the inputs that tier 2 reads of a file, by id."""
    path = folder / f"customers{SUFFIX[case.media_type]}"
    path.write_bytes(case.content)
    customers = FileOfCustomers(path, read_mapping(case.columns) if case.columns else None)
    found: dict[str, bytes] = {}
    try:
        for rows in customers.batches():
            assert rows.ids is not None
            matrix = np.array(rows.columns).T
            found |= {i: matrix[place].tobytes() for place, i in enumerate(rows.ids)}
    except DataRefused as error:
        assert "break a rule" in str(error)  # noqa: PT017  # more than 1 % of a few rows are
    assert customers.refused == len({line for line, _ in case.faults})
    notes = "\n".join(customers.notes)
    assert all(f"line {line}: " in notes for line, _ in case.faults)
    assert all(word in notes for word in case.words)
    assert all(repr(written) in notes for written in case.read_from.values())
    assert all(name in notes for name in case.ignored or ())
    assert case.blank == 0 or f"blank rows, skipped: {case.blank}" in notes
    return found


def bits(features: Mapping[str, Any]) -> bytes:
    values = [math.nan if features[name] is None else float(features[name]) for name in INPUT_NAMES]
    return b"".join(struct.pack("<d", value) for value in values)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 76), st.data())
def test_a_decimal_of_any_scale_is_what_its_text_is(tmp_path: Path, scale: int, data: st.DataObject) -> None:
    digits = data.draw(st.integers(max(1, scale), 76))
    unscaled = data.draw(st.integers(0, min(10**digits - 1, 10**12 * 10**scale)))
    value = Decimal(unscaled).scaleb(-scale, context=_WIDE)
    kind = pa.decimal256(digits, scale) if digits > 38 else pa.decimal128(digits, scale)
    as_text, as_decimal = text(row("A", BALANCE=f"{value:f}")), table({"cust_id": "A"}, BALANCE=pa.array([value], kind))
    found = [list(CustomerFile(CSV, [as_text]).batches()), _parquet_batches(as_decimal)]
    assert repr(found[0][0].customers) == repr(found[1][0].customers)
    assert found[1][0].customers[0][1]["BALANCE"] == float(value)


def _parquet_batches(content: bytes) -> list[Any]:
    with closing(CustomerFile(PARQUET, [content])) as file:
        return list(file.batches())


_WIDE = __import__("decimal").Context(prec=100)
_cells = st.sampled_from(["", "1", "0.5", "NA", "nan", "x", " 1 ", "1e400", "-1", "1,5", '"', "\\N", "7.500", "\x1a"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["A", "B", "", "a b"]), st.dictionaries(st.sampled_from(INPUT_NAMES), _cells)),
        max_size=8,
    )
)
def test_both_tiers_agree_on_any_cells(tmp_path: Path, rows: list[tuple[str, dict[str, str]]]) -> None:
    content = text(*(row(cust_id, **changes) for cust_id, changes in rows))
    (tmp_path / "customers.csv").write_bytes(content)
    stored = dict(c for batch in CustomerFile(CSV, [content]).batches() for c in batch.customers)
    case = Case(content, {})
    customers = FileOfCustomers(tmp_path / "customers.csv")
    found: dict[str, bytes] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model_service.training.dataset.MAX_REFUSED_SHARE", 1.0)
        try:
            for batch in customers.batches():
                matrix = np.array(batch.columns).T
                found |= {i: matrix[place].tobytes() for place, i in enumerate(batch.ids or ())}
        except DataRefused as error:
            assert "no rows" in str(error)  # noqa: PT017
    assert found == {i: bits(features) for i, features in stored.items()}, case


def refusals(content: bytes, media_type: str, folder: Path, columns: str | None = None) -> tuple[str, str]:
    """Return why the gateway and why a training refuses a file."""
    path = folder / f"customers{SUFFIX[media_type]}"
    path.write_bytes(content)
    mapping = read_mapping(columns) if columns else None
    with pytest.raises(Exception) as gateway:  # noqa: PT011  # the text is looked at
        CustomerFile(media_type, [content], mapping=mapping).close()
    with pytest.raises(DataRefused) as training:
        list(FileOfCustomers(path, mapping).batches())
    return str(gateway.value), str(training.value)


REFUSED: dict[str, tuple[bytes, str, str, str | None]] = {
    "two exact names": (text(row("A"), header=f"{HEADER},balance"), CSV, "BALANCE column is there twice", None),
    "two aliases": (
        text(row("A"), header=HEADER.replace("PAYMENTS,", "PAYMENT,Payment,", 1)),
        CSV,
        "PAYMENTS column is there twice: 'PAYMENT' and 'Payment'",
        None,
    ),
    "a mapped column that is missing": (
        text(row("A")),
        CSV,
        "BALANCE column is to be read from 'Saldo'",
        "BALANCE:Saldo",
    ),
    "a column is missing": (
        text("1;2", header="BALANCE;Note"),
        CSV,
        "line 1 was read as 2 columns, 'BALANCE', 'Note', separated by semicolons",
        None,
    ),
    "no header at all": (text(header=row("C10001", "|")), CSV, "18 columns, 'C10001', '100.0'", None),
    "titles above a header that lacks columns": (
        b"Export\nBALANCE;PAYMENTS\n1;2\n",
        CSV,
        "line 2 was read as 2 columns",
        None,
    ),
    "JSON for CSV": (ndjson(sent()), CSV, 'line 1 was read as 18 columns, \'{"CUST_ID": "A"\',', None),
    "one cell": (b"hello world\nx\n", CSV, "1 column, 'hello world'", None),
    "Int128": (
        table(*TWO, BALANCE=pa.array([b"x" * 16] * 2, pa.binary(16))),
        PARQUET,
        "BIGINT, DECIMAL or DOUBLE",
        None,
    ),
    "words for numbers": (table(*TWO, BALANCE=pa.array(["1", "2"])), PARQUET, "holds string values, not numbers", None),
    "fractions for ids": (table(*TWO, CUST_ID=pa.array([1.0, 2.5])), PARQUET, "holds double values, not text", None),
    "UTF-16": (text(row("A")).decode().encode("utf-16"), CSV, "UTF-16", None),
    "empty": (b"\xef\xbb\xbf\n", CSV, "The file is empty", None),
    "an array": (b"[]", NDJSON, "JSON array", None),
}


@pytest.mark.parametrize(("content", "media_type", "said", "columns"), REFUSED.values(), ids=REFUSED.keys())
def test_both_tiers_refuse_the_same(
    tmp_path: Path, content: bytes, media_type: str, said: str, columns: str | None
) -> None:
    gateway, training = refusals(content, media_type, tmp_path, columns)
    assert said in gateway
    assert training == f"customers{SUFFIX[media_type]}: {gateway}".replace("CUST_ID column is missing; ", "")


@pytest.mark.parametrize(
    ("line", "useless"),
    [(BLANK, 12), (row("a b"), 6), (row("A"), 7), (row("A", PURCHASES=-1, PAYMENTS=-1), 3)],
    ids=["blank", "faulty", "repeated", "two faults"],
)
def test_a_file_of_rows_that_are_of_no_use_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, useless: int
) -> None:
    monkeypatch.setattr(reader, "MOST_USELESS", 11)
    content = text(*[line] * 1_000)
    batches = CustomerFile(CSV, [content], batch_rows=1).batches()
    assert [len(batch.customers) for batch in islice(batches, useless)][1:] == [0] * (useless - 1)
    with pytest.raises(InvalidInput, match=f"of the first {useless} rows are refused or hold nothing"):
        next(batches)


def test_useless_rows_among_many_good_ones_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_USELESS", 11)
    content = text(*(row(f"C{n}" if n % 2 else "a b") for n in range(1, 1_000)))
    batches = list(CustomerFile(CSV, [content], batch_rows=7).batches())
    assert sum(batch.rejected for batch in batches) == 499
