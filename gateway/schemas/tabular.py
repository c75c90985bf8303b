"""Customers from a CSV stream of any size: read in batches, checked column by column."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TextIO

import numpy as np

from gateway.schemas.csv_records import CsvRecords, Record
from gateway.services.errors import InvalidInput
from gateway.services.imports import Batch, RowFault
from shared.columns import Column, column_faults, stored_column
from shared.features import CUST_ID, DERIVED, FEATURES, INPUTS, Feature, cust_id_fault
from shared.problems import FieldError

BATCH_ROWS = 1_000


class _Chunk(NamedTuple):
    """Records of the right length with the lines they start on, and the faults of the others."""

    records: list[Record]
    lines: list[int]
    faults: list[RowFault]


class CsvCustomers:
    """A CSV file of customers (RFC 4180, comma, UTF-8 with or without a byte order mark).

    Columns may come in any order and letter case; unknown ones are ignored and named in `ignored_columns`.

    Raises
    ------
    InvalidInput
        when the header lacks a required column or names one twice; nothing has been read beyond it then.
    """

    def __init__(self, stream: TextIO, batch_rows: int = BATCH_ROWS) -> None:
        first = next(stream, "").removeprefix("\ufeff")  # before anybody looks for quotes
        self._records = CsvRecords(chain([first], stream))
        self._batch_rows = batch_rows
        header = self._read_header()
        self._width = len(header)
        names = [name.strip().upper() for name in header]
        self._places = {name: names.index(name) for name in (CUST_ID, *(f.name for f in INPUTS)) if name in names}
        _check_header(names)
        known = {CUST_ID, *(f.name for f in FEATURES)}
        self.ignored_columns = [name for name, upper in zip(header, names, strict=True) if upper not in known]

    def batches(self) -> Iterator[Batch]:
        """Yield the file's rows in order, each batch checked."""
        while chunk := self._read_chunk():
            yield self._checked(chunk)

    def _read_header(self) -> Record:
        """Return the first record that is not blank."""
        while found := self._records.read():
            _, header = found
            if isinstance(header, csv.Error):
                raise InvalidInput([FieldError(pointer="", detail=str(header))], f"the header is not CSV: {header}")
            if header:
                return header
        raise InvalidInput([FieldError(pointer="", detail="the file is empty")], "the file is empty")

    def _read_chunk(self) -> _Chunk | None:
        chunk = _Chunk([], [], [])
        while len(chunk.records) + len(chunk.faults) < self._batch_rows:
            found = self._records.read()
            if found is None:
                break
            self._place(*found, chunk)
        return chunk if chunk.records or chunk.faults else None

    def _place(self, line: int, record: Record | csv.Error, chunk: _Chunk) -> None:
        if isinstance(record, csv.Error):
            chunk.faults.append(RowFault(line=line, column=None, detail=f"is not valid CSV: {record}"))
        elif len(record) == self._width:
            chunk.records.append(record)
            chunk.lines.append(line)
        elif record:
            self._records.put_back()
            detail = f"has {len(record)} cells where the header has {self._width}"
            chunk.faults.append(RowFault(line=line, column=None, detail=detail))

    def _checked(self, chunk: _Chunk) -> Batch:
        cells = list(zip(*chunk.records, strict=True)) or [()] * self._width
        faults: dict[int, list[RowFault]] = {}

        def note(row: int, column: str, detail: str) -> None:
            faults.setdefault(row, []).append(RowFault(line=chunk.lines[row], column=column, detail=detail))

        ids = [cell.strip() for cell in cells[self._places[CUST_ID]]]
        for row, cust_id in enumerate(ids):
            if fault := cust_id_fault(cust_id):
                note(row, CUST_ID, fault)
        columns = []
        for feature in INPUTS:
            values, unreadable = self._column(cells, feature, len(ids))
            for row, detail in unreadable or column_faults(values, feature):
                note(row, feature.name, detail)
            columns.append(values)
        good = [row for row in range(len(ids)) if row not in faults]
        listed = sorted([*chunk.faults, *(f for row in faults.values() for f in row)], key=lambda f: f["line"])
        return Batch(_customers(ids, columns, good), listed, len(faults) + len(chunk.faults))

    def _column(
        self, cells: Sequence[Sequence[str]], feature: Feature, rows: int
    ) -> tuple[Column, list[tuple[int, str]]]:
        place = self._places.get(feature.name)
        if place is None:  # a nullable feature that the file does not have
            return np.full(rows, np.nan), []
        return parse_numbers(cells[place], feature)


def parse_numbers(cells: Sequence[str], feature: Feature) -> tuple[Column, list[tuple[int, str]]]:
    """Read a column's cells; blank means null.

    Returns
    -------
    float64 of shape (n_cells,) with NaN for blank and refused cells, and the faults as (row, detail): when a cell is
    not a finite decimal number, all faults of the column, otherwise none (`column_faults` finds the rest).
    """
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return _parse_slowly(cells, feature)
    text = "".join(cells)
    # float() also reads '1_000', '١٢', 'nan' and 'inf'; none of them is a number in JSON.
    if "_" in text or not text.isascii() or not np.isfinite(values).all():
        return _parse_slowly(cells, feature)
    return values, []


def _parse_slowly(cells: Sequence[str], feature: Feature) -> tuple[Column, list[tuple[int, str]]]:
    values = np.full(len(cells), np.nan)
    faults: list[tuple[int, str]] = []
    for row, cell in enumerate(cells):
        value = _number(cell)
        if isinstance(value, str):
            fault: str | None = f"must be a number, not {cell[:40]!r}"
        else:
            fault = "must not be blank" if value is None and not feature.nullable else feature.fault(value)
        if fault:
            faults.append((row, fault))
        elif value is not None:
            values[row] = value
    return values, faults


def _number(cell: str) -> float | str | None:
    """Return the cell's number, None for a blank one, or the cell itself when it is not a number."""
    text = cell.strip()
    if not text:
        return None
    if "_" in text or not text.isascii():
        return cell
    try:
        return float(text)
    except ValueError:
        return cell


def _customers(ids: list[str], columns: list[Column], good: list[int]) -> list[tuple[str, dict[str, float | None]]]:
    """Return (CUST_ID, features in stored form) of the good rows."""
    names = [feature.name for feature in INPUTS]
    stored = [stored_column(values[good], feature) for values, feature in zip(columns, INPUTS, strict=True)]
    customers = []
    for row, values in zip(good, zip(*stored, strict=True), strict=True):
        features: dict[str, float | None] = dict(zip(names, values, strict=True))
        for derived in DERIVED:
            assert derived.derive is not None
            features[derived.name] = derived.derive(features)
        customers.append((ids[row], features))
    return customers


def _check_header(names: list[str]) -> None:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        detail = "the cells must be separated by commas"
        raise InvalidInput([FieldError(pointer="", detail=detail)], f"the header does not fit: {detail}")
    required = [CUST_ID, *(f.name for f in INPUTS if not f.nullable)]
    errors = [FieldError(pointer=f"/{name}", detail="column is missing") for name in required if name not in names]
    known = {CUST_ID, *(f.name for f in FEATURES)}
    errors += [
        FieldError(pointer=f"/{name}", detail="column is there twice")
        for name in sorted(known)
        if names.count(name) > 1
    ]
    if errors:
        wrong = ", ".join(f"{error['pointer'][1:]} {error['detail']}" for error in errors)
        raise InvalidInput(errors, f"the header does not fit: {wrong}")
