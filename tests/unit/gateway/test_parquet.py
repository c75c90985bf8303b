"""Parquet customers: what the rows say, and files that would do harm."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.customers import body, inputs
from support.parquet_in_process import ProgramInProcess

from gateway.files.reader import CustomerFile
from gateway.services.errors import InvalidInput, StoreUnavailable
from gateway.services.imports.source import RowFault
from shared.customer_files import reader
from shared.customer_files.parquet_program import _pieces
from shared.features import CUST_ID, complete
from shared.model_contract import PARQUET


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([body(**row) for row in rows])


def content(rows: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(rows, sink, **options)
    return sink.getvalue()


def read(file: bytes) -> tuple[list[tuple[str, Any]], list[RowFault], list[str]]:
    """Read a file in this process; the last tests do it as an import does, in another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "ParquetProgram", ProgramInProcess)
        with closing(CustomerFile(PARQUET, [file])) as source:
            batches, ignored = list(source.batches()), list(source.ignored_columns)
    return [c for b in batches for c in b.customers], [f for b in batches for f in b.faults], ignored


def refused(file: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(file)
    return str(caught.value)


def _put(column: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: rows.set_column(rows.schema.get_field_index(column), column, values)


def test_rows_types_and_nulls() -> None:
    rows = table({"cust_id": "A"}, {"cust_id": "B", "CREDIT_LIMIT": None, "BALANCE": 0.1}, {"cust_id": "C"})
    rows = rows.append_column("Note", pa.array(["=x", None, '"\n,']))
    rows = rows.append_column("nested", pa.array([[1], [], None]))
    rows = rows.rename_columns([name.lower() for name in rows.column_names])
    customers, faults, ignored = read(content(rows, row_group_size=2))
    assert faults == []
    assert ignored == ["note", "nested"]
    assert repr(customers) == repr(
        [("A", complete(inputs())), ("B", complete(inputs(CREDIT_LIMIT=None, BALANCE=0.1))), ("C", complete(inputs()))]
    )


@pytest.mark.parametrize(
    "change",
    [
        _put("BALANCE", pa.array([100, 100], pa.int32())),
        _put("BALANCE", pa.array([100, 100], pa.float32())),
        _put("BALANCE", pa.array([Decimal("100.00")] * 2)),
        _put(CUST_ID, pa.array(["A", "B"], pa.large_string())),
        _put(CUST_ID, pa.array(["A", "B"]).dictionary_encode()),
    ],
)
def test_other_types_that_say_the_same(change: Callable[[pa.Table], pa.Table]) -> None:
    customers, faults, _ = read(content(change(table({"cust_id": "A"}, {"cust_id": "B"}))))
    assert (customers, faults) == ([("A", complete(inputs())), ("B", complete(inputs()))], [])


def test_numbers_may_be_ids() -> None:
    rows = _put(CUST_ID, pa.array([7, 12345678901]))(table({}, {}))
    assert [i for i, _ in read(content(rows))[0]] == ["7", "12345678901"]


def test_values_that_break_rules() -> None:
    bad: list[dict[str, Any]] = [{"BALANCE": float("nan")}, {"BALANCE": -1.0}, {"TENURE": 13}, {"BALANCE": None}]
    ids = [{"cust_id": i} for i in ("", None, "a b", 'x","y', "a\nb", "'-A", "=1", "ä")]
    customers, faults, _ = read(content(table({"cust_id": "A"}, *bad, *ids, {"cust_id": "Z"})))
    assert [i for i, _ in customers] == ["A", "Z"]
    expected = [(3, "BALANCE"), (4, "BALANCE"), (5, "TENURE"), (6, "BALANCE")]
    expected += [(7 + place, CUST_ID) for place in range(len(ids))]
    assert [(fault["line"], fault["column"]) for fault in faults] == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop_columns(["TENURE"]), "TENURE column is missing"),
        (lambda rows: rows.append_column("balance", rows["BALANCE"]), "'BALANCE' and 'balance'"),
        (_put("BALANCE", pa.array(["5"])), "column BALANCE holds string values, not numbers"),
        (_put("BALANCE", pa.array([True])), "column BALANCE holds bool values, not numbers"),
        (_put("BALANCE", pa.array([[1.0]])), "column BALANCE holds list"),
        (_put(CUST_ID, pa.array([1.5])), "column CUST_ID holds double values, not text"),
    ],
)
def test_columns_that_do_not_fit(change: Callable[[pa.Table], pa.Table], said: str) -> None:
    assert said in refused(content(change(table({}))))


@pytest.mark.parametrize("file", [b"", b"PAR1", b"CUST_ID,BALANCE\n1,2\n", b"PAR1" + bytes(1000) + b"PAR1"])
def test_what_is_no_parquet(file: bytes) -> None:
    assert "cannot be read as Parquet" in refused(file)


def test_a_file_without_rows() -> None:
    assert read(content(table({}).slice(0, 0))) == ([], [], [])


def test_an_encrypted_file_is_refused() -> None:
    assert refused(b"PARE" + bytes(100) + b"PARE")


class TestInAProcessOfItsOwn:
    """As an import reads a file."""

    def test_all_of_it_is_read(self) -> None:
        file = content(table({"cust_id": "A"}, {"cust_id": "B"}).append_column("Note", pa.array(["x", "y"])))
        with closing(CustomerFile(PARQUET, [file[:1000], file[1000:]])) as source:
            assert source.ignored_columns == ["Note"]
            assert [i for batch in source.batches() for i, _ in batch.customers] == ["A", "B"]
            assert source.bytes_read == len(file)

    def test_a_damaged_file_is_read_as_far_as_it_goes(self) -> None:
        file = content(table(*({"cust_id": f"C{n}"} for n in range(40_000))), row_group_size=5_000)
        middle = len(file) * 3 // 4
        with closing(CustomerFile(PARQUET, [file[:middle], b"\xff" * 2_000, file[middle + 2_000 :]])) as source:
            batches = source.batches()
            assert len(next(batches).customers) == 5_000
            with pytest.raises(InvalidInput, match="damaged"):
                list(batches)

    def test_a_file_that_asks_for_gigabytes_harms_nobody(self) -> None:
        giant = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int8()), ["x" * 5_000_000])
        file = content(_put(CUST_ID, giant)(table(*[{}] * 200)), compression="zstd")
        assert len(file) < 100_000
        with pytest.raises(InvalidInput, match="too much memory"):
            CustomerFile(PARQUET, [file])

    def test_nothing_is_left_on_the_disk(self, tmp_path: Path) -> None:
        with closing(CustomerFile(PARQUET, [content(table({}))], tmp_path)):
            assert list(tmp_path.iterdir()) == []

    def test_a_disk_without_room_is_no_fault_of_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match="cannot be kept"):
            CustomerFile(PARQUET, [b"x"], tmp_path / "missing")


def test_a_damaged_value_is_found_where_pages_have_checksums() -> None:
    plain = {"use_dictionary": False, "compression": "none", "write_statistics": False}
    file = bytearray(content(table({CUST_ID: "A", "CREDIT_LIMIT": 3127.5}), **plain, write_page_checksum=True))
    file[file.index(struct.pack("<d", 3127.5)) + 6] ^= 8
    assert "damaged" in refused(bytes(file))


def test_a_file_that_yields_fewer_rows_than_it_promises_is_damaged() -> None:
    """A damaged page can end a column early; pyarrow says nothing then."""
    rows = table({CUST_ID: "A"})
    promising = SimpleNamespace(
        schema_arrow=rows.schema, metadata=SimpleNamespace(num_rows=3), iter_batches=lambda *_, **__: rows.to_batches()
    )
    with pytest.raises(ValueError, match="1 rows of 3"):
        list(_pieces(promising, {}, 5))
