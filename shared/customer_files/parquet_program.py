"""A program: reads a Parquet file from standard input and writes its customers' columns.

It runs as a process of its own, with little memory to use: a Parquet file of a few kilobytes may say that it holds
gigabytes, and no reader of the format can be told how much to believe. A file that asks for more ends this process and
nothing else. pyarrow, half a second and 60 MB to load, stays out of the gateway as well.

The first line is JSON: ``{"names": [...]}``, the file's columns, or ``{"refused": "why"}`` and nothing after it. Then
come batches, each a line ``{"rows": n, "ids": bytes, "words": {...}}``, the ids with line ends between them ("" for
null, `NO_ID` for what can be none; ``"ids": null`` if the file has none), and n float64 for each input that the file
has, in the order of `INPUTS`, NaN for null. The exit status is 0 only if the file was read to its end.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from shared.customer_files.cells import BLANKS
from shared.customer_files.header import ColumnMapping, read_header
from shared.features import BY_NAME, CUST_ID, INPUTS

MEMORY = 320 * 1024 * 1024
"""Bytes of data that the process may set aside, pyarrow's own included. Of a million rows in one row group it uses 185
MB, of smaller ones 130."""
CPU_SECONDS = 600
NO_ID = "?"
"""Stands for a text that can be no id."""
_BUFFER = 64 * 1024
_ID = "^[A-Za-z0-9_.-]{1,64}$"


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
    return write_columns(sys.stdin.buffer, sys.stdout.buffer, json.loads(sys.argv[1]), int(sys.argv[2]))


def write_columns(source: BinaryIO, target: BinaryIO, mapping: ColumnMapping, batch_rows: int) -> int:
    """Write the customers of `source`, a Parquet file, to `target`; return the exit status."""
    import pyarrow as pa
    from pyarrow import parquet

    begun = False
    try:
        options = {"buffer_size": _BUFFER, "pre_buffer": False, "page_checksum_verification": True}
        with parquet.ParquetFile(pa.PythonFile(source, "r"), **options) as file:
            for piece in _pieces(file, mapping, batch_rows):
                target.write(piece)
                begun = True
        target.flush()
    except BrokenPipeError:  # whoever wanted the columns wants no more
        return 1
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
    target.write(_line({"refused": f"The file cannot be read as Parquet: {why}."}))
    target.flush()


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _pieces(file: Any, mapping: ColumnMapping, batch_rows: int) -> Iterator[bytes]:
    """Yield the first line and the batches; the first rows are read before anything is written."""
    names = file.schema_arrow.names
    header = read_header(names, mapping)
    for column, place in header.places.items():
        _check(column, file.schema_arrow.field(place).type)
    first = _line({"names": names})
    if header.twice:  # whoever reads this refuses the file
        yield first
        return
    columns = {column: names[place] for column, place in header.places.items() if column not in _DERIVED}
    rows = 0
    for batch in file.iter_batches(batch_rows, columns=list(columns.values()), use_threads=False):
        yield first + _batch(batch, columns)
        first, rows = b"", rows + batch.num_rows
    if columns and rows != file.metadata.num_rows:  # a damaged page may end a column early without a word
        raise ValueError(f"{rows} rows of {file.metadata.num_rows}")
    yield first


_DERIVED = {name for name, feature in BY_NAME.items() if feature.derive}


def _check(column: str, kind: Any) -> None:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if column == CUST_ID and isinstance(kind, pa.UuidType):
        return
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or column in _DERIVED:
        return
    if column == CUST_ID:
        if not (_is_text(kind) or pa.types.is_decimal(kind)):
            raise _Refused(f"column {column} holds {kind} values, not text")
    elif not pa.types.is_floating(kind) and not pa.types.is_decimal(kind):
        hint = ""
        if pa.types.is_fixed_size_binary(kind):  # ClickHouse writes Int128 and Int256 so
            hint = "; whole numbers of 128 or 256 bits have no type in Parquet: write BIGINT, DECIMAL or DOUBLE"
        raise _Refused(f"column {column} holds {kind} values, not numbers{hint}")


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, _is_bytes)
    return any(is_kind(kind) for is_kind in kinds)


def _batch(batch: Any, columns: Mapping[str, str]) -> bytes:
    from pyarrow import compute

    words, parts = dict[str, int](), []
    ids = _ids(batch.column(columns[CUST_ID])) if CUST_ID in columns else None
    for feature in INPUTS:
        if feature.name not in columns:
            continue
        numbers = _numbers(batch.column(columns[feature.name]))
        if feature.nullable and (found := compute.sum(compute.is_nan(numbers)).as_py()):
            words["NaN"] = words.get("NaN", 0) + found
        parts.append(_bytes(numbers))
    said = _line({"rows": batch.num_rows, "ids": None if ids is None else len(ids), "words": words})
    return b"".join([said, ids or b"", *parts])


def _numbers(column: Any) -> Any:
    """Return a column as doubles: of a decimal the one nearest to its text, which pyarrow's own cast is not."""
    import pyarrow as pa

    column = _plain(column)
    return (column.cast(pa.string()) if pa.types.is_decimal(column.type) else column).cast(pa.float64(), safe=False)


def _plain(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _bytes(numbers: Any) -> bytes:
    """Return the doubles as they lie in memory, NaN for null."""
    filled = numbers.fill_null(float("nan"))
    return bytes(memoryview(filled.buffers()[1])[8 * filled.offset : 8 * (filled.offset + len(filled))])


def _ids(column: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import compute

    column = _plain(column)
    if isinstance(column.type, pa.UuidType):
        column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if _is_bytes(column.type):  # they need not be UTF-8
        column = column.cast(pa.binary())
        ascii_only = compute.match_substring_regex(column, r"^[\x20-\x7e]*$")
        column = compute.if_else(ascii_only, column, pa.scalar(NO_ID.encode(), pa.binary()))
    ids = column.cast(pa.string())
    if pa.types.is_decimal(column.type):
        ids = compute.replace_substring_regex(ids, r"\.0*$", "")
        ids = compute.if_else(compute.match_substring(ids, "."), NO_ID, ids)
    ids = compute.utf8_trim(ids, BLANKS)
    sound = compute.if_else(compute.match_substring_regex(ids, _ID), ids, NO_ID).fill_null("")
    return "\n".join(sound.to_pylist()).encode()


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(is_kind(kind) for is_kind in kinds)


if __name__ == "__main__":
    sys.exit(main())
