"""A program: reads a Parquet file from standard input and writes its customers as CSV.

It runs as a process of its own, with little memory to use: a Parquet file of a few kilobytes may say that it holds
gigabytes, and no reader of the format can be told how much to believe. A file that asks for more ends this process and
nothing else. pyarrow, half a second and 60 MB to load, stays out of the gateway as well.

The first line is JSON: ``{"ignored": [...]}``, or ``{"refused": "why"}`` and nothing after it. Then comes the CSV,
whose header has the known columns as the file names them. The exit status is 0 only if the file was read to its end.
"""

from __future__ import annotations

import csv
import io
import json
import resource
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from shared.column_names import read_header
from shared.features import BY_NAME, CUST_ID

MEMORY = 320 * 1024 * 1024
"""Bytes of data that the process may set aside, pyarrow's own included. Of a million rows in one row group it uses 185
MB, of smaller ones 130."""
CPU_SECONDS = 600
_BATCH_ROWS = 5_000
_BUFFER = 64 * 1024
_ID = "^[A-Za-z0-9_.-]{1,64}$"
_NO_ID = "?"
"""Stands for a text that can be no id, and might be taken for more than one cell."""


class _Refused(Exception):  # not to be taken for damage
    pass


def main() -> int:
    """Write the customers of standard input to standard output, with little to use; return the exit status."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    import pyarrow as pa

    pa.set_io_thread_count(1)
    pa.set_cpu_count(1)
    pa.set_memory_pool(pa.system_memory_pool())  # the others set aside more than they need
    return write_customers(sys.stdin.buffer, sys.stdout.buffer)


def write_customers(source: BinaryIO, target: BinaryIO) -> int:
    """Write the customers of `source`, a Parquet file, to `target`; return the exit status."""
    import pyarrow as pa
    from pyarrow import parquet

    begun = False
    try:
        options = {"buffer_size": _BUFFER, "pre_buffer": False, "page_checksum_verification": True}
        with parquet.ParquetFile(pa.PythonFile(source, "r"), **options) as file:
            for piece in _text(file):
                target.write(piece)
                begun = True
        target.flush()
    except _Refused as error:
        _refuse(target, str(error))
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        if begun:
            return 1
        too_big = isinstance(error, MemoryError)
        _refuse(
            target,
            "it needs too much memory: write smaller row groups" if too_big else "it is damaged, encrypted or none",
        )
    return 0


def _refuse(target: BinaryIO, why: str) -> None:
    target.write(json.dumps({"refused": f"The file cannot be read as Parquet: {why}."}).encode() + b"\n")
    target.flush()


def _text(file: Any) -> Iterator[bytes]:
    """Yield the first line and the CSV; the first rows are read before anything is written."""
    names = file.schema_arrow.names
    header = read_header(names)
    known = [name for name in names if name not in header.ignored]
    for column, place in header.places.items():
        _check(column, file.schema_arrow.field(place).type)
    first = json.dumps({"ignored": header.ignored}).encode() + b"\n" + _csv([known])
    if len(known) != len(header.places):  # one is there twice: the header tells
        yield first
        return
    columns = {name: column for column, place in header.places.items() if (name := names[place])}
    batches = file.iter_batches(_BATCH_ROWS, columns=known, use_threads=False)
    rows = 0
    for batch in batches:
        yield first + _rows(batch, columns, known)
        first, rows = b"", rows + batch.num_rows
    if rows != file.metadata.num_rows:  # a damaged page may end a column early without a word
        raise ValueError(f"{rows} rows of {file.metadata.num_rows}")
    yield first


def _check(column: str, kind: Any) -> None:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if column == CUST_ID:
        if not text and not pa.types.is_integer(kind):
            raise _Refused(f"column {column} holds {kind} values, not text")
    elif column in BY_NAME and not number and not pa.types.is_null(kind):
        raise _Refused(f"column {column} holds {kind} values, not numbers")


def _rows(batch: Any, columns: dict[str, str], known: list[str]) -> bytes:
    import pyarrow as pa
    from pyarrow import compute
    from pyarrow import csv as arrow_csv

    def column(name: str) -> Any:
        values = batch.column(name)
        if columns[name] != CUST_ID:
            return values.cast(pa.float64(), safe=False)
        ids = values.cast(pa.string())
        return compute.if_else(compute.match_substring_regex(ids, _ID), ids, _NO_ID)

    sink = io.BytesIO()
    table = pa.RecordBatch.from_arrays([column(name) for name in known], names=known)
    arrow_csv.write_csv(table, sink, arrow_csv.WriteOptions(include_header=False))
    return sink.getvalue()


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


if __name__ == "__main__":
    sys.exit(main())
