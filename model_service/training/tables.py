"""Reading a table of customers from a CSV or Parquet file: columns by name, cells not yet checked."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model_service.training.errors import DataRefused
from shared.column_names import known_names, read_header
from shared.features import CUST_ID, INPUTS

PARQUET_MEDIA = "application/vnd.apache.parquet"

DELIMITERS = ",;\t"
"""Tried in this order; the one that finds the most known columns in the header is taken."""

_PARQUET_MAGIC = b"PAR1"
_LONGEST_HEADER = 1 << 16
_NEEDED = (CUST_ID, *(f.name for f in INPUTS))


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds.

    Attributes
    ----------
    columns : `CUST_ID` as text, where there is one, and every input as the file has it; shape (n_rows, up to 18).
    lines : line in the file of each row, the header being line 1, shape (n_rows,); None for Parquet. Assumes that no
        quoted cell contains a line break.
    ignored : columns that the data dictionary does not know.
    """

    columns: pd.DataFrame
    lines: NDArray[np.int64] | None
    ignored: list[str]


def read_table(path: Path, media: str | None = None) -> Table:
    """Read `path`; columns may come in any order, under any name that `shared.column_names` understands.

    It is taken as Parquet if it begins like one, is named ``*.parquet`` or comes as `PARQUET_MEDIA`, else as CSV: UTF-8
    with or without a byte order mark, cells separated by comma, semicolon or tab.

    Raises
    ------
    DataRefused
        when it cannot be read as such, a column is missing or there twice, or it has no rows.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_PARQUET_MAGIC))
        is_parquet = magic == _PARQUET_MAGIC or path.suffix == ".parquet" or (media or "").startswith(PARQUET_MEDIA)
        table = _read_parquet(path) if is_parquet else _read_csv(path)
    except OSError as error:
        raise DataRefused(f"cannot read {path}: {error.strerror or error}") from error
    if table.columns.empty:
        raise DataRefused(f"{path} has no rows")
    return table


def _read_csv(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig") as file:
            header, delimiter, header_line = _header(file, path)
        places = _places(header)
        frame = _parse(path, len(header), delimiter, header_line, text=places.get(CUST_ID))
    except UnicodeDecodeError as error:
        raise DataRefused(f"{path} is not a CSV file: it is not UTF-8 text ({error})") from error
    except (ValueError, csv.Error, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataRefused(f"{path} is not a CSV file: {str(error).strip()}") from error
    filled = ~frame.isna().all(axis=1).to_numpy()
    lines = np.flatnonzero(filled) + header_line + 1
    frame = frame[list(places.values())].set_axis(list(places), axis=1)
    return Table(frame if filled.all() else frame[filled].reset_index(drop=True), lines, _ignored(header))


def _header(file: TextIO, path: Path) -> tuple[list[str], str, int]:
    """Return the names in the first line that is not blank, what separates them, and that line's number."""
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_HEADER), ""), start=1):
        if "\0" in line:
            raise ValueError("it holds zero bytes, as binary files and UTF-16 text do")
        if line.strip():
            splits = [(next(csv.reader([line], delimiter=mark)), mark) for mark in DELIMITERS]
            names, delimiter = max(splits, key=lambda split: known_names(split[0]))
            return names, delimiter, number
    raise DataRefused(f"{path} is empty")


def _parse(path: Path, width: int, delimiter: str, header_line: int, text: int | None) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # it would drop cells without a header
        try:
            return pd.read_csv(
                path,
                sep=delimiter,
                header=None,
                names=list(range(width)),
                skiprows=header_line,
                index_col=False,
                skip_blank_lines=False,  # so that a row's position tells its line number
                dtype={text: str} if text is not None else None,
                compression=None,
                encoding="utf-8-sig",
                low_memory=False,
            )
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=list(range(width)))


def _read_parquet(path: Path) -> Table:
    try:
        with pq.ParquetFile(path) as file:
            header = file.schema_arrow.names
            places = _places(header)
            table = file.read(columns=[header[place] for place in places.values()])
    except (pa.ArrowException, OSError) as error:
        raise DataRefused(f"{path} is not a Parquet file: {str(error).strip()}") from error
    columns = {name: _parquet_column(name, table.column(header[place])) for name, place in places.items()}
    return Table(pd.DataFrame(columns), None, _ignored(header))


def _parquet_column(name: str, column: pa.ChunkedArray) -> pd.Series[float] | pd.Series[str]:
    if name == CUST_ID:
        return pd.Series(column.to_pylist(), dtype=object)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise DataRefused(f"column {name} holds {kind} values, not numbers")
    return pd.Series(column.cast(pa.float64(), safe=False).to_numpy())


def _places(header: Sequence[str]) -> dict[str, int]:
    """Return where the columns of the data dictionary stand that a training needs."""
    found = read_header(header)
    missing = [f.name for f in INPUTS if f.name not in found.places]
    if missing:
        raise DataRefused(f"missing columns: {', '.join(missing)}")
    twice = [f"{name} ({' and '.join(map(repr, found.twice[name]))})" for name in _NEEDED if name in found.twice]
    if twice:
        raise DataRefused(f"columns that are there twice: {', '.join(twice)}")
    return {name: found.places[name] for name in _NEEDED if name in found.places}


def _ignored(header: Sequence[str]) -> list[str]:
    return read_header(header).ignored
