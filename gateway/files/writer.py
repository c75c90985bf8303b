"""Customers written as CSV, NDJSON or Parquet: blocks of rows in, pieces of a file out."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from gateway.services.customers.query import FIELDS, LABELS, FieldKind
from gateway.services.customers.store import Row
from shared.contract import BORDERLINE
from shared.customer_files.csv import FORMULA_MARKS, NEUTRAL
from shared.features import FEATURES
from shared.model_contract import CSV, NDJSON, PARQUET

_UTC = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
_LINE = _UTC | orjson.OPT_APPEND_NEWLINE


class FileKind(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    columns : names what the file has of some members of a customer (`customer_query.MEMBERS`).
    paths : says where in a customer (`CustomerStore.rows`) the columns' values are.
    write : makes the file of rows with these values.
    """

    media_type: str
    columns: Callable[[Sequence[str]], Sequence[str]]
    paths: Callable[[Sequence[str]], Sequence[str]]
    write: Callable[[Iterable[Sequence[Row]], Sequence[str]], Iterator[bytes]]


def flat_columns(members: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a file with one for each value, under the names that filters know them by."""
    within = {member: [f.name for f in FIELDS.values() if f.path[0] == member] for member in members}
    return tuple(column for member in members for column in within[member] or [member])


def flat_paths(columns: Sequence[str]) -> tuple[str, ...]:
    """Return where the values of such columns are; what derives from a value has its path."""
    return tuple(".".join(FIELDS[column].path) if column in FIELDS else column for column in columns)


def csv_file(blocks: Iterable[Sequence[Row]], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield a CSV file (RFC 4180, UTF-8) with a header; null is blank, numbers read back exactly."""
    yield ",".join(columns).encode() + b"\r\n"
    for rows in blocks:
        yield _csv_lines(_derived(rows, columns))


def csv_for_people(
    blocks: Iterable[Sequence[Row]], columns: Sequence[str], names: Mapping[str, str]
) -> Iterator[bytes]:
    """Yield a CSV file with labels for a header and segments by `names`; spreadsheets take it for UTF-8 by its mark."""
    yield codecs.BOM_UTF8 + _careful_csv_lines([[LABELS[column] for column in columns]])
    places = [place for place, column in enumerate(columns) if column in ("segment", "rival")]
    for rows in blocks:
        for row in rows:
            for place in places:
                row[place] = names.get(row[place], row[place])
        yield _csv_lines(_derived(rows, columns))


def ndjson_file(blocks: Iterable[Sequence[Row]], members: Sequence[str]) -> Iterator[bytes]:
    """Yield each customer in JSON, on a line of its own, as the API shows one."""
    for rows in blocks:
        yield b"".join([orjson.dumps(dict(zip(members, row, strict=True)), option=_LINE) for row in rows])


def parquet_file(blocks: Iterable[Sequence[Row]], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield a Parquet file with a row group for each block."""
    # Loading pyarrow takes half a second and 50 MB, which only those pay who ask for Parquet.
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(column, _parquet_type(pa, column)) for column in columns])
    sink = _Pieces()
    with parquet.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as writer:
        for rows in blocks:
            values = zip(*_derived(rows, columns), strict=True)
            arrays = [pa.array(column, field.type) for field, column in zip(schema, values, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.taken()
    yield sink.taken()


KINDS: Mapping[str, FileKind] = {
    "csv": FileKind(CSV, flat_columns, flat_paths, csv_file),
    "ndjson": FileKind(NDJSON, tuple, tuple, ndjson_file),
    "parquet": FileKind(PARQUET, flat_columns, flat_paths, parquet_file),
}
"""The kinds of file by name, which is also the file's extension; the first is for whoever has no preference."""


def _derived(rows: Sequence[Row], columns: Sequence[str]) -> Sequence[Row]:
    """Put in the place of the confidence, where it stands for that, whether the customer is borderline."""
    if "borderline" in columns:
        place = columns.index("borderline")
        for row in rows:
            if row[place] is not None:
                row[place] = row[place] < BORDERLINE
    return rows


def _csv_lines(rows: Sequence[Row]) -> bytes:
    """Return the rows as lines of CSV.

    JSON is CSV but for brackets, quotes and nulls, as long as no text holds a comma, a quote or a control character,
    and orjson is three times as fast as `csv`. None does, since ids and versions may not; one that did would show by
    a comma too many or by a backslash.
    """
    json = orjson.dumps(rows, option=_UTC)
    if b"\\" in json or json.count(b",") != sum(map(len, rows)) - 1:
        return _careful_csv_lines(rows)
    for mark in FORMULA_MARKS:
        json = json.replace(f'"{mark}'.encode(), f'"{NEUTRAL}{mark}'.encode())
    return json[2:-2].replace(b"],[", b"\r\n").replace(b",null", b",").replace(b'"', b"") + b"\r\n"


def _careful_csv_lines(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if isinstance(value, str):
        return NEUTRAL + value if value.startswith(FORMULA_MARKS) else value
    return "" if value is None else orjson.dumps(value, option=_UTC).decode().strip('"')


def _parquet_type(pa: Any, column: str) -> Any:
    if column == "seq" or column in {feature.name for feature in FEATURES if feature.whole}:
        return pa.int64()
    kind = FIELDS[column].kind if column in FIELDS else FieldKind.NAME
    return {FieldKind.NUMBER: pa.float64(), FieldKind.FLAG: pa.bool_(), FieldKind.TIME: pa.timestamp("ms", "UTC")}.get(
        kind, pa.string()
    )


class _Pieces(io.RawIOBase):
    """A file that keeps what is written to it only until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(self._written[-1])

    def taken(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken
