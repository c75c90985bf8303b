"""Records of a CSV text with the lines they start on; a stray quote costs its own line and no other."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
import orjson

from gateway.files.text import MAX_LINE, text_blocks
from gateway.files.writer import FORMULA_MARKS, NEUTRAL
from gateway.services.errors import InvalidInput
from gateway.services.imports.source import BATCH_ROWS, Batch, RowFault
from shared.column_names import Header, known_names, read_header
from shared.columns import Column, column_faults, stored_column
from shared.features import CUST_ID, DERIVED, INPUTS, Feature, cust_id_fault
from shared.problems import FieldError

Record = list[str]

DELIMITERS = ",;\t"
"""The one that finds the most known columns in the header separates the cells; the first, if none does better."""
MOST_LINES = 100
"""Most lines of one record: a quoted cell may hold line breaks."""


class Records(NamedTuple):
    """Records in order (empty for a blank line) with the lines they start on, and what was no record, by line."""

    records: list[Record]
    lines: Sequence[int]
    faults: dict[int, str]


class CsvRecords:
    """Reads RFC 4180 records (double quotes) from blocks of whole lines.

    Python's reader takes an opening quote that nobody closes for the start of a cell that spans lines, and swallows
    what follows. Here such a record is put back: only its first line is refused, the rest is read again. That happens
    line by line. As long as every record keeps to its line, as in most files, thousands are read at once.
    """

    def __init__(self, blocks: Iterable[str]) -> None:
        self._blocks = iter(blocks)
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []
        self._line = 0
        self._width = 0
        self.delimiter = DELIMITERS[0]

    def header(self) -> Record | None:
        """Return the first record, None if all lines are blank; it tells the delimiter.

        Raises
        ------
        csv.Error
        """
        while (line := self._next_line()) is not None and not line.strip():
            self._line += 1
        if line is None:
            return None
        self._waiting.appendleft(line)
        cuts = {mark: next(csv.reader([line], delimiter=mark), []) for mark in DELIMITERS}
        self.delimiter = max(cuts, key=lambda mark: known_names(cuts[mark]))
        header = next(self._reader())
        self._width = len(header)
        return header

    def read(self, most: int) -> Records | None:
        """Return the records of about `most` lines, or None at the end; those of another length are faults."""
        while len(self._waiting) < most and self._refill():
            pass
        lines = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        if not lines:
            return None
        records = self._one_a_line(lines)
        if records is None:
            self._waiting.extendleft(reversed(lines))
            return self._carefully(self._line + len(lines))
        numbers = range(self._line + 1, self._line + 1 + len(lines))
        self._line += len(lines)
        if set(map(len, records)) == {self._width}:
            return Records(records, numbers, {})
        return self._sorted_out(zip(numbers, records, strict=True))

    def _one_a_line(self, lines: list[str]) -> list[Record] | None:
        """Return the records if each of them is one line, else None."""
        try:
            records = list(csv.reader(lines, delimiter=self.delimiter, strict=True))
        except csv.Error:
            return None
        return records if len(records) == len(lines) and max(map(len, lines)) <= MAX_LINE else None

    def _carefully(self, until: int) -> Records:
        """Return the records that begin up to the line `until`."""
        faults: dict[int, str] = {}
        records = []
        while self._line < until:
            line = self._line + 1
            self._taken.clear()
            try:
                record = next(self._reader())
            except csv.Error as error:
                self._put_back()
                faults[line] = f"is not valid CSV: {error}"
                continue
            if record and len(record) != self._width:
                self._put_back()
            records.append((line, record))
        found = self._sorted_out(records)
        return found._replace(faults=found.faults | faults)

    def _sorted_out(self, numbered: Iterable[tuple[int, Record]]) -> Records:
        """Leave blank lines out, and tell the records of another length than the header's from the others."""
        some = [(line, record) for line, record in numbered if record]
        fitting = [(line, record) for line, record in some if len(record) == self._width]
        faults = {
            line: f"has {len(record)} cells where the header has {self._width}"
            for line, record in some
            if len(record) != self._width
        }
        return Records([record for _, record in fitting], [line for line, _ in fitting], faults)

    def _reader(self) -> Iterator[Record]:
        return csv.reader(self._feed(), delimiter=self.delimiter, strict=True)

    def _feed(self) -> Iterator[str]:
        """Yield lines for one record."""
        size = 0
        while (line := self._next_line()) is not None:
            self._taken.append(line)
            self._line += 1
            size += len(line)
            if size > MAX_LINE or len(self._taken) > MOST_LINES:
                raise csv.Error(f"longer than {MAX_LINE:,} characters or {MOST_LINES} lines")
            yield line

    def _put_back(self) -> None:
        """Read all lines of the last record but its first once more, each as the start of a record."""
        self._waiting.extendleft(reversed(self._taken[1:]))
        self._line -= len(self._taken) - 1

    def _next_line(self) -> str | None:
        while not self._waiting:
            if not self._refill():
                return None
        return self._waiting.popleft()

    def _refill(self) -> bool:
        """Take another block, and say whether there was one."""
        block = next(self._blocks, None)
        if block is None:
            return False
        self._waiting.extend(io.StringIO(block, newline=""))  # splits at every kind of line end and keeps it
        return True


Parsed = tuple[Column, list[tuple[int, str]]]
"""A column's numbers, and what was wrong by row."""
_NUMBERS_OR_NULL = {float, int, type(None)}


class CsvCustomers:
    """A CSV file of customers: separated by comma, semicolon or tab, UTF-8 with or without a byte order mark.

    Columns come in any order, under any name that `shared.column_names` understands; the others are ignored and named
    in `ignored_columns`. A quote before an id that would be a formula to spreadsheet programs is taken off: an export
    put it there.

    Raises
    ------
    InvalidInput
        when the header lacks a required column or has one twice; nothing has been read beyond it then.
    """

    def __init__(self, pieces: Iterable[bytes], batch_rows: int = BATCH_ROWS) -> None:
        self._records = CsvRecords(text_blocks(pieces))
        self._batch_rows = batch_rows
        written = self._read_header()
        header = read_header(written)
        _check_header(header)
        self._width = len(written)
        self._places = header.places
        self.ignored_columns = header.ignored

    def batches(self) -> Iterator[Batch]:
        """Yield the file's rows in order, each batch checked."""
        while found := self._records.read(self._batch_rows):
            yield self._checked(found)

    def _read_header(self) -> Record:
        try:
            header = self._records.header()
        except csv.Error as error:
            raise _header_fault(f"The header is not CSV: {error}.") from error
        if header is None:
            raise _header_fault("The file is empty.")
        if any("\0" in name for name in header):
            raise _header_fault("The file holds zero bytes, as binary files and UTF-16 text do; save it as UTF-8.")
        return header

    def _checked(self, found: Records) -> Batch:
        cells = list(zip(*found.records, strict=True)) or [()] * self._width
        faults: dict[int, list[RowFault]] = {}

        def note(row: int, column: str, detail: str) -> None:
            faults.setdefault(row, []).append(RowFault(line=found.lines[row], column=column, detail=detail))

        ids = _ids(cells[self._places[CUST_ID]])
        for row, cust_id in enumerate(ids):
            if fault := cust_id_fault(cust_id):
                note(row, CUST_ID, fault)
        columns = []
        for feature in INPUTS:
            values, unreadable = self._column(cells, feature, len(ids))
            for row, detail in unreadable or column_faults(values, feature):
                note(row, feature.name, detail)
            columns.append(values)
        listed = [RowFault(line=line, column=None, detail=detail) for line, detail in found.faults.items()]
        listed += [fault for of_row in faults.values() for fault in of_row]
        good = [row for row in range(len(ids)) if row not in faults] if faults else range(len(ids))
        return Batch(
            customers=customers_of(ids, columns, good),
            lines=[found.lines[row] for row in good],
            faults=sorted(listed, key=lambda fault: fault["line"]),
            rejected=len(faults) + len(found.faults),
        )

    def _column(self, cells: Sequence[Sequence[str]], feature: Feature, rows: int) -> Parsed:
        place = self._places.get(feature.name)
        if place is None:  # a nullable feature that the file does not have
            return np.full(rows, np.nan), []
        return parse_numbers(cells[place], feature)


def _ids(cells: Sequence[str]) -> list[str]:
    ids = [cell.strip() for cell in cells]
    if NEUTRAL not in "".join(ids):
        return ids
    return [i[1:] if i.startswith(NEUTRAL) and i[1:].startswith(FORMULA_MARKS) else i for i in ids]


def parse_numbers(cells: Sequence[str], feature: Feature) -> Parsed:
    """Read a column's cells; blank means null.

    Returns
    -------
    float64 of shape (n_cells,) with NaN for blank and refused cells, and the faults as (row, detail): when a cell is
    not a finite decimal number, all faults of the column, otherwise none (`column_faults` finds the rest).
    """
    values = _json_numbers(cells, feature.nullable)
    return _parse_slowly(cells, feature) if values is None else (values, [])


def _json_numbers(cells: Sequence[str], blanks: bool) -> Column | None:
    """Return the cells' numbers if all are written as JSON writes them (or blank, where `blanks` may be), else None.

    A column is a JSON array then, which orjson reads 3 times as fast as float() reads the cells. The elements being as
    many as the cells, and numbers, each cell is one of them: a cell can bring more commas, none can take one away.
    """
    empty = cells.count("") if blanks else 0
    try:
        values = orjson.loads(f"[{','.join([cell or 'null' for cell in cells] if empty else cells)}]")
    except orjson.JSONDecodeError:
        return None
    kinds = set(map(type, values))
    if len(values) != len(cells) or not kinds <= _NUMBERS_OR_NULL or values.count(None) != empty:
        return None
    return np.array(values, np.float64)


def _parse_slowly(cells: Sequence[str], feature: Feature) -> Parsed:
    values = np.full(len(cells), np.nan)
    faults: list[tuple[int, str]] = []
    for row, cell in enumerate(cells):
        value = _number(cell)
        if isinstance(value, str):
            fault: str | None = value
        else:
            fault = "must not be blank" if value is None and not feature.nullable else feature.fault(value)
        if fault:
            faults.append((row, fault))
        elif value is not None:
            values[row] = value
    return values, faults


def _number(cell: str) -> float | str | None:
    """Return the cell's number, None for a blank one, or why it is no number; never the cell, which may hold an id."""
    text = cell.strip()
    if not text:
        return None
    if "_" not in text and text.isascii():  # float() also reads '1_000' and '１２', JSON does not
        try:
            return float(text)
        except ValueError:
            pass
    if "," in text:
        return "must be a number with a decimal point and no other marks, not with a comma"
    return "must be a number"


def customers_of(
    ids: Sequence[str], columns: Sequence[Column], good: Sequence[int]
) -> list[tuple[str, dict[str, float | int | None]]]:
    """Return (CUST_ID, features in stored form) of the `good` rows of faultless columns in the order of INPUTS."""
    whole = len(good) == len(ids)
    stored = [stored_column(c if whole else c[good], f) for c, f in zip(columns, INPUTS, strict=True)]
    names = [feature.name for feature in (*INPUTS, *DERIVED)]
    room = [[None] * len(good)] * len(DERIVED)  # dicts that grew later would be made twice
    features = [dict(zip(names, row, strict=True)) for row in zip(*stored, *room, strict=True)]
    for derived in DERIVED:
        assert derived.derive is not None
        for row in features:
            row[derived.name] = derived.derive(row)
    return list(zip(ids if whole else [ids[row] for row in good], features, strict=True))


def _check_header(header: Header) -> None:
    missing = [CUST_ID] if CUST_ID not in header.places else []
    faults = dict(zip([*missing, *header.missing], repeat("column is missing")))
    for name, written in header.twice.items():
        faults[name] = f"column is there twice: {' and '.join(map(repr, written))}"
    if faults:
        errors = [FieldError(pointer=f"/{name}", detail=detail) for name, detail in faults.items()]
        wrong = "; ".join(f"{name} {detail}" for name, detail in faults.items())
        raise InvalidInput(errors, f"The header does not fit: {wrong}.")


def _header_fault(detail: str) -> InvalidInput:
    return InvalidInput([FieldError(pointer="", detail=detail)], detail)
