"""Reading and checking training data."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_service.pipeline import Matrix
from model_service.training.errors import DataRefused
from model_service.training.tables import Table, read_table
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


def read_customers(path: Path, media: str | None = None) -> TrainingData:
    """Read customers to train on (`read_rows`).

    Raises
    ------
    DataRefused
        when `read_rows` does so, or a column is as good as empty or constant.
    """
    data = read_rows(path, media).data
    _refuse_useless_columns(data.frame)
    return data


def read_rows(path: Path, media: str | None = None) -> NamedRows:
    """Read customers from a CSV or Parquet file (`model_service.training.tables.read_table` says which is which).

    Rows that break a hard rule of the data dictionary are left out and named in ``notes``.

    Raises
    ------
    DataRefused
        when the file cannot be read, a column is missing, a CUST_ID occurs twice, or more than `MAX_REFUSED_SHARE` of
        the rows break a rule.
    """
    table = read_table(path, media)
    _refuse_duplicates(table.columns)
    frame, faults = _check(table.columns)
    rows, notes = len(frame), _notes(table, faults)
    if len(faults) > MAX_REFUSED_SHARE * rows:
        raise DataRefused("\n".join([f"{len(faults)} of {rows} rows break a hard rule, more than 1 %:", *notes]))
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
        raise DataRefused(f"columns with hardly any value: {', '.join(unknown)}; at least {needed:.0f} are needed")
    constant = [name for name in DISTANCE_NAMES if low[name] == high[name]]
    if constant:
        raise DataRefused(f"columns with the same value in every row: {', '.join(constant)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
