"""Rows of a file before and after they are checked by the rules of the data dictionary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from typing_extensions import TypedDict

from shared.columns import Column, column_faults
from shared.customer_files.repeated_ids import RepeatedIds
from shared.features import CUST_ID, INPUT_NAMES, INPUTS, cust_id_fault
from shared.problems import FieldError


class RowFault(TypedDict):
    """Why one row of a file was refused: its line (1-based, the header is line 1), the column and the reason.

    None of them holds anything of the row itself, which may be personal data.
    """

    line: int
    column: str | None
    detail: str


class RowWarning(TypedDict):
    """What looks odd in a file and is no reason to refuse a row; ``line`` is null where it is about the whole file."""

    line: int | None
    code: str
    column: str | None
    detail: str


BATCH_ROWS = 5_000
"""Rows of a file that are checked together: 10 to 20 MB in memory."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is read.

    Attributes
    ----------
    mapping : the name in the file by column, for columns whose names are not understood.
    id_required : whether there must be a CUST_ID.
    batch_rows : rows that are checked together.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    id_required: bool = True
    batch_rows: int = BATCH_ROWS


class FileRefused(Exception):
    """A file cannot be read, or its columns do not fit; the message says why, in words for whoever sent it."""

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = list(errors) or [FieldError(pointer="", detail=detail)]


def _null(_row: int, _column: str) -> str:
    return "must not be null"


@dataclass(slots=True)
class Unchecked:
    """Rows as a format's reader finds them.

    Attributes
    ----------
    lines : the line of each row.
    ids : what stands for CUST_ID in each; None where the file has no such column.
    columns : the values of each input in the order of `INPUTS`, float64 of shape (n_rows,), NaN for missing.
    unreadable : by row, what could not be read: (column, why).
    broken : by line, what was no row at all.
    blank : how many more rows held nothing.
    words : how often which word stood for a missing value.
    null : says what is wrong with a row that lacks a value.
    """

    lines: Sequence[int]
    ids: Sequence[object] | None
    columns: list[Column]
    unreadable: dict[int, list[tuple[str | None, str]]] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)
    blank: int = 0
    words: Counter[str] = field(default_factory=Counter)
    warnings: list[RowWarning] = field(default_factory=list)
    null: Callable[[int, str], str] = _null


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file after they have been checked.

    Attributes
    ----------
    ids : the CUST_ID of each faultless row; None where the file has none.
    columns : their inputs in the order of `INPUTS`, float64 of shape (n_rows,), NaN for missing.
    lines : the lines they are on.
    faults : what was wrong with the others, in the order of their lines.
    rejected : how many rows were refused; one row can have several faults.
    warnings : what looks odd in the file, as far as its reader sees it.
    refused_ids : the CUST_IDs of the refused rows, of those where it can be read.
    """

    ids: Sequence[str] | None
    columns: Sequence[Column]
    lines: Sequence[int]
    faults: Sequence[RowFault]
    rejected: int
    warnings: Sequence[RowWarning]
    refused_ids: Sequence[str]


_REQUIRED = tuple(place for place, feature in enumerate(INPUTS) if not feature.nullable)
_REQUIRED_NAMES = frozenset(INPUTS[place].name for place in _REQUIRED)
_INCOMPLETE = (len(_REQUIRED) + 1) // 2
"""So many missing values are one fault of the row, not one each."""

_ORDER: Mapping[str | None, int] = {name: place for place, name in enumerate((CUST_ID, *INPUT_NAMES), start=1)}

Faults = dict[int, list[tuple[str | None, str]]]
"""What is wrong by row: (column, detail)."""


def check(rows: Unchecked, seen: RepeatedIds) -> Rows:
    """Tell faultless rows from the others; of the faultless ones of an id, the first counts."""
    rows.columns = [column + 0.0 for column in rows.columns]  # turns -0.0 into 0.0, as it is stored
    faults = {row: list(found) for row, found in rows.unreadable.items()}
    for row, cust_id in enumerate(rows.ids or ()):
        if fault := cust_id_fault(cust_id):
            faults.setdefault(row, []).append((CUST_ID, fault))
    _check_columns(rows, faults)
    if rows.ids is not None:
        good = _others(rows, faults)
        ids = cast(list[str], [rows.ids[row] for row in good])
        for place, first in seen.note(ids, [rows.lines[row] for row in good]).items():
            faults[good[place]] = [(CUST_ID, f"repeats the CUST_ID of line {first}")]
    good = _others(rows, faults)
    refused = {rows.lines[row] for row in faults}
    listed = [
        *(RowFault(line=rows.lines[row], column=c, detail=d) for row, found in faults.items() for c, d in found),
        *(RowFault(line=line, column=None, detail=detail) for line, detail in rows.broken.items()),
    ]
    return Rows(
        ids=None if rows.ids is None else cast(list[str], [rows.ids[row] for row in good]),
        columns=[column[good] for column in rows.columns] if faults else rows.columns,
        lines=[rows.lines[row] for row in good] if faults else rows.lines,
        faults=sorted(listed, key=lambda fault: (fault["line"], _ORDER.get(fault["column"], 0))),
        rejected=len(faults) + len(rows.broken),
        warnings=[warning for warning in rows.warnings if warning["line"] not in refused],
        refused_ids=[] if rows.ids is None else _readable([rows.ids[row] for row in faults]),
    )


def _readable(ids: Sequence[object]) -> list[str]:
    return [cust_id for cust_id in ids if isinstance(cust_id, str) and cust_id_fault(cust_id) is None]


def _others(rows: Unchecked, faults: Faults) -> list[int]:
    return [row for row in range(len(rows.lines)) if row not in faults]


def _check_columns(rows: Unchecked, faults: Faults) -> None:
    """Add what breaks a hard rule; a row that lacks most of its values has one fault for all of it."""
    if not len(rows.lines):
        return
    lacking: list[int] = np.sum([np.isnan(rows.columns[place]) for place in _REQUIRED], axis=0).tolist()
    for row, found in rows.unreadable.items():
        lacking[row] -= sum(column in _REQUIRED_NAMES for column, _ in found)
    known = {(row, column) for row, found in rows.unreadable.items() for column, _ in found}
    for feature, values in zip(INPUTS, rows.columns, strict=True):
        null = np.isnan(values)
        for row, detail in column_faults(values, feature):
            if lacking[row] < _INCOMPLETE and (row, feature.name) not in known:
                said = rows.null(row, feature.name) if null[row] else detail
                faults.setdefault(row, []).append((feature.name, said))
    for row, count in enumerate(lacking):
        if count >= _INCOMPLETE:
            faults[row] = [(None, f"has no value in {count} of the {len(_REQUIRED)} columns that need one")]
