"""Reading and checking training data from a CSV file."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from model_service.manifest import DataSource
from model_service.pipeline import Matrix
from model_service.training.errors import DataRefused
from shared.columns import column_faults
from shared.features import CUST_ID, DERIVED, DISTANCE, DISTANCE_NAMES, INPUTS

MAX_REFUSED_SHARE = 0.01
"""Training aborts when more of the rows than this break a hard rule."""

SHOWN = 20
"""Most refused values or duplicates that are named one by one."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Usable training rows.

    Attributes
    ----------
    frame : one float64 column per feature, derived ones included, NaN for missing; shape (n_rows, n_features).
    source : which file the rows came from.
    notes : what was left out or ignored, in words.
    """

    frame: pd.DataFrame
    source: DataSource
    notes: list[str]

    @property
    def distance(self) -> pd.DataFrame:
        """The columns that take part in the distance, in training order."""
        return self.frame[list(DISTANCE_NAMES)]


def read_csv(path: Path) -> TrainingData:
    """Read customers from a CSV file with a header line.

    Rows that break a hard rule of the data dictionary are left out and named in ``notes``. Line numbers count the
    header as line 1 and assume that no quoted cell contains a line break.

    Raises
    ------
    DataRefused
        when the file cannot be read as CSV, a column is missing, empty or constant, a CUST_ID occurs twice, or more
        than `MAX_REFUSED_SHARE` of the rows break a rule.
    """
    table = _parse(path)
    _refuse_missing_columns(table)
    _refuse_duplicates(table)
    rows = len(table)
    frame, faults = _check(table)
    notes = _notes(table, faults)
    kept = frame.drop(index=list(faults)).reset_index(drop=True)
    refused = rows - len(kept)
    if refused > MAX_REFUSED_SHARE * rows:
        raise DataRefused("\n".join([f"{refused} of {rows} rows break a hard rule, more than 1 %:", *notes]))
    _refuse_useless_columns(kept)
    for feature in DERIVED:
        assert feature.derive is not None
        kept[feature.name] = [
            feature.derive(dict(zip(kept.columns, row, strict=True))) for row in kept.to_numpy().tolist()
        ]
    source = DataSource(name=path.name, sha256=_sha256(path), rows=rows, refused=refused)
    return TrainingData(kept, source, notes)


def _parse(path: Path) -> pd.DataFrame:
    try:
        # Blank lines are kept at first, so that a row's position tells its line number.
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it would drop cells without a header
            table = pd.read_csv(path, skip_blank_lines=False, low_memory=False, encoding="utf-8-sig", index_col=False)
    except OSError as error:
        raise DataRefused(f"cannot read {path}: {error.strerror}") from error
    except pd.errors.EmptyDataError as error:
        raise DataRefused(f"{path} is empty") from error
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataRefused(f"{path} is not a CSV file: {str(error).strip()}") from error
    table = table.dropna(how="all")
    if table.empty:
        raise DataRefused(f"{path} has no rows")
    return table


def _refuse_missing_columns(table: pd.DataFrame) -> None:
    missing = [f.name for f in INPUTS if f.name not in table.columns]
    if missing:
        raise DataRefused(f"missing columns: {', '.join(missing)}")


def _refuse_duplicates(table: pd.DataFrame) -> None:
    if CUST_ID not in table.columns:
        return
    ids = table[CUST_ID].dropna()
    twice = ids[ids.duplicated()].astype(str).drop_duplicates().tolist()
    if twice:
        more = f" and {len(twice) - SHOWN} more" if len(twice) > SHOWN else ""
        raise DataRefused(f"{len(twice)} {CUST_ID} values occur more than once: {', '.join(twice[:SHOWN])}{more}")


def _check(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[int, str]]:
    """Return the inputs as float64 and, by row label, the first fault of each row that has one."""
    columns: dict[str, pd.Series[float]] = {}
    faults: dict[int, str] = {}
    for feature in INPUTS:
        given = table[feature.name]
        numbers = _to_numbers(given)
        columns[feature.name] = numbers
        not_numbers = numbers.isna() & given.notna()
        for label in table.index[not_numbers]:
            faults.setdefault(label, f"{feature.name} must be a number, not {str(given[label])[:40]!r}")
        for position, fault in column_faults(_array(numbers), feature):
            faults.setdefault(table.index[position], f"{feature.name} {fault}")
    return pd.DataFrame(columns), faults


def _to_numbers(given: pd.Series[float]) -> pd.Series[float]:
    if pd.api.types.infer_dtype(given, skipna=True) == "boolean":  # True and False are words here, not 1 and 0
        return pd.Series(np.nan, index=given.index)
    return pd.to_numeric(given, errors="coerce").astype(np.float64)


def _array(column: pd.Series[float]) -> Matrix:
    return np.asarray(column, dtype=np.float64)


def _notes(table: pd.DataFrame, faults: dict[int, str]) -> list[str]:
    notes = [f"line {label + 2}: {faults[label]}" for label in sorted(faults)[:SHOWN]]
    if len(faults) > SHOWN:
        notes.append(f"and {len(faults) - SHOWN} more rows")
    known = {CUST_ID, *(f.name for f in INPUTS), *(f.name for f in DERIVED)}
    ignored = [str(c) for c in table.columns if c not in known]
    if ignored:
        notes.append(f"ignored columns: {', '.join(ignored)}")
    return notes


def _refuse_useless_columns(frame: pd.DataFrame) -> None:
    distinct = frame[[f.name for f in DISTANCE]].nunique()
    empty = distinct.index[distinct == 0].tolist()
    if empty:
        raise DataRefused(f"columns without any value: {', '.join(empty)}")
    constant = distinct.index[distinct == 1].tolist()
    if constant:
        raise DataRefused(f"columns with the same value in every row: {', '.join(constant)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
