"""Reading and checking training data: a table from a CSV or Parquet file, and the usable rows of it."""

from __future__ import annotations

import csv
import hashlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model_service.scoring.pipeline import Matrix
from model_service.training.errors import DataRefused
from shared.column_names import known_names, read_header
from shared.columns import column_faults
from shared.features import CUST_ID, DERIVED, DISTANCE_NAMES, INPUT_NAMES, INPUTS
from shared.model_description import DataSource

MAX_REFUSED_SHARE = 0.01
"""Training aborts when more of the rows than this break a hard rule."""

MIN_KNOWN = 20
MIN_KNOWN_SHARE = 0.01
"""Least values in a column: by chance a half of the rows, or a sample of them, must not be left without any."""

SHOWN = 20
"""Most refused values or duplicates that are named one by one."""

_DERIVED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Usable training rows.

    Attributes
    ----------
    frame : one float64 column per feature, derived ones included, NaN for missing; shape (n_rows, n_features).
    source : which file the rows came from.
    notes : what was left out or ignored, in words.
    lines : line in the file of each row, the header being line 1, shape (n_rows,); None for Parquet.
    """

    frame: pd.DataFrame
    source: DataSource
    notes: list[str]
    lines: NDArray[np.int64] | None

    @property
    def distance(self) -> pd.DataFrame:
        """The columns that take part in the distance, in training order."""
        return self.frame[list(DISTANCE_NAMES)]


class NamedRows(NamedTuple):
    """Usable rows, and the CUST_ID of each (None where it has none), shape (n_rows,); None without such a column."""

    data: TrainingData
    ids: list[str | None] | None


def read_customers(path: Path) -> TrainingData:
    """Read customers to train on (`read_rows`).

    Raises
    ------
    DataRefused
        when `read_rows` does so, or a column is as good as empty or constant.
    """
    data = read_rows(path).data
    _refuse_useless_columns(data.frame)
    return data


def read_rows(path: Path) -> NamedRows:
    """Read customers from a CSV or Parquet file (`model_service.training.dataset.read_table` says which is which).

    Rows that break a hard rule of the data dictionary are left out and named in ``notes``.

    Raises
    ------
    DataRefused
        when the file cannot be read, a column is missing, a CUST_ID occurs twice, or more than `MAX_REFUSED_SHARE` of
        the rows break a rule.
    """
    table = read_table(path)
    _refuse_duplicates(table.columns)
    frame, faults = _check(table.columns)
    rows, notes = len(frame), _notes(table, faults)
    if len(faults) > MAX_REFUSED_SHARE * rows:
        raise DataRefused(
            "\n".join([f"{len(faults)} of {rows} rows break a rule of the data dictionary, more than 1 %:", *notes])
        )
    lines = table.lines
    if faults:
        frame = frame.drop(index=list(faults)).reset_index(drop=True)
        lines = None if lines is None else np.delete(lines, list(faults))
    _derive(frame)
    source = DataSource(name=path.name, sha256=_sha256(path), rows=rows, refused=len(faults))
    return NamedRows(TrainingData(frame, source, notes, lines), _ids(table.columns, list(faults)))


def _ids(table: pd.DataFrame, left_out: list[int]) -> list[str | None] | None:
    if CUST_ID not in table.columns:
        return None
    return [identity if isinstance(identity, str) else None for identity in table[CUST_ID].drop(index=left_out)]


def _derive(frame: pd.DataFrame) -> None:
    """Add the derived columns, some rows at a time: as Python numbers they take several times the memory."""
    inputs = frame.to_numpy()
    for feature in DERIVED:
        assert feature.derive is not None
        values = np.empty(len(frame))
        for start in range(0, len(frame), _DERIVED_AT_ONCE):
            block = inputs[start : start + _DERIVED_AT_ONCE].tolist()
            values[start : start + len(block)] = [
                feature.derive(dict(zip(INPUT_NAMES, row, strict=True))) for row in block
            ]
        frame[feature.name] = values


def _refuse_duplicates(table: pd.DataFrame) -> None:
    if CUST_ID not in table.columns:
        return
    ids = table[CUST_ID].dropna()
    twice = ids[ids.duplicated()].astype(str).drop_duplicates().tolist()
    if twice:
        more = f" and {len(twice) - SHOWN} more" if len(twice) > SHOWN else ""
        raise DataRefused(f"{len(twice)} {CUST_ID} values occur more than once: {', '.join(twice[:SHOWN])}{more}")


def _check(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[int, str]]:
    """Return the inputs as float64 and, by row, the first fault of each row that has one."""
    columns: dict[str, pd.Series[float]] = {}
    faults: dict[int, str] = {}
    for feature in INPUTS:
        given = table[feature.name]
        numbers = _to_numbers(given)
        columns[feature.name] = numbers
        not_numbers = numbers.isna() & given.notna()
        for row in np.flatnonzero(not_numbers).tolist():
            faults.setdefault(row, f"{feature.name} must be a number, not {str(given[row])[:40]!r}")
        for row, fault in column_faults(_array(numbers), feature):
            faults.setdefault(row, f"{feature.name} {fault}")
    return pd.DataFrame(columns), faults


def _to_numbers(given: pd.Series[float]) -> pd.Series[float]:
    if pd.api.types.infer_dtype(given, skipna=True) == "boolean":  # True and False are words here, not 1 and 0
        return pd.Series(np.nan, index=given.index)
    try:
        return pd.to_numeric(given, errors="coerce").astype(np.float64)
    except OverflowError:  # a whole number of more than 308 digits
        return _to_numbers(given.mask(given.astype(str).str.len() > sys.float_info.max_10_exp, np.inf))


def _array(column: pd.Series[float]) -> Matrix:
    return np.asarray(column, dtype=np.float64)


def _notes(table: Table, faults: Mapping[int, str]) -> list[str]:
    notes = [f"{_place(table, row)}: {faults[row]}" for row in sorted(faults)[:SHOWN]]
    if len(faults) > SHOWN:
        notes.append(f"and {len(faults) - SHOWN} more rows")
    if table.ignored:
        notes.append(f"ignored columns: {', '.join(table.ignored)}")
    return notes


def _place(table: Table, row: int) -> str:
    return f"row {row + 1}" if table.lines is None else f"line {table.lines[row]}"


def _refuse_useless_columns(frame: pd.DataFrame) -> None:
    rows = len(frame)
    known, low, high = frame.count(), frame.min(), frame.max()
    needed = max(MIN_KNOWN_SHARE * rows, min(MIN_KNOWN, rows / 2))
    unknown = [f"{name} ({known[name]} of {rows} rows)" for name in DISTANCE_NAMES if known[name] < needed]
    if unknown:
        raise DataRefused(f"Columns with too few values: {', '.join(unknown)}; at least {needed:.0f} are required.")
    constant = [name for name in DISTANCE_NAMES if low[name] == high[name]]
    if constant:
        raise DataRefused(f"Columns with the same value in every row: {', '.join(constant)}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def read_table(path: Path) -> Table:
    """Read `path`; columns may come in any order, under any name that `shared.column_names` understands.

    It is taken as Parquet if it begins like one or is named ``*.parquet``, else as CSV: UTF-8 with or
    without a byte order mark, cells separated by comma, semicolon or tab.

    Raises
    ------
    DataRefused
        when it cannot be read as such, a column is missing or there twice, or it has no rows.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_PARQUET_MAGIC))
        is_parquet = magic == _PARQUET_MAGIC or path.suffix == ".parquet"
        table = _read_parquet(path) if is_parquet else _read_csv(path)
    except OSError as error:
        raise DataRefused(f"{path} cannot be read: {error.strerror or error}.") from error
    if table.columns.empty:
        raise DataRefused(f"{path} has no rows.")
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
            raise ValueError("it contains zero bytes, as binary files and UTF-16 text do")
        if line.strip():
            splits = [(next(csv.reader([line], delimiter=mark)), mark) for mark in DELIMITERS]
            names, delimiter = max(splits, key=lambda split: known_names(split[0]))
            return names, delimiter, number
    raise DataRefused(f"{path} is empty.")


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
        raise DataRefused(f"Column {name} contains {kind} values, not numbers.")
    return pd.Series(column.cast(pa.float64(), safe=False).to_numpy())


def _places(header: Sequence[str]) -> dict[str, int]:
    """Return where the columns of the data dictionary stand that a training needs."""
    found = read_header(header)
    missing = [f.name for f in INPUTS if f.name not in found.places]
    if missing:
        raise DataRefused(f"Missing columns: {', '.join(missing)}.")
    twice = [f"{name} ({' and '.join(map(repr, found.twice[name]))})" for name in _NEEDED if name in found.twice]
    if twice:
        raise DataRefused(f"Duplicate columns: {', '.join(twice)}.")
    return {name: found.places[name] for name in _NEEDED if name in found.places}


def _ignored(header: Sequence[str]) -> list[str]:
    return read_header(header).ignored
