"""CSV: records with the lines they start on, and the columns of customers in them."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import orjson

from shared.columns import Column
from shared.customer_files.cells import BLANKS, parse_numbers, with_three_decimals
from shared.customer_files.header import (
    ColumnMapping,
    ReadColumn,
    alias_warnings,
    known_names,
    misfit,
    read_header,
    shown,
)
from shared.customer_files.rows import FileRefused, ReadOptions, RowWarning, Unchecked
from shared.customer_files.text import MAX_LINE, text_blocks
from shared.features import CUST_ID, INPUTS

Record = list[str]

FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins with one of these is a formula to spreadsheet programs (OWASP, "CSV Injection")."""
NEUTRAL = "'"
"""Stands before such a text, which is then shown as it is; an export puts it there, and the reader takes it off."""

DELIMITERS = ",;\t|"
"""The one that finds the most known columns in the header separates the cells."""
MOST_LINES = 100
"""Most lines of one record: a quoted cell may hold line breaks."""
MOST_TITLES = 20
"""Lines at the beginning among which the header is looked for."""

_names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_separator_line = re.compile(r'\s*"?sep=([^\w\s"]|\t)\1*"?\s*', re.IGNORECASE)
"""Excel's own way to say what separates the cells."""
_NOTHING = BLANKS + DELIMITERS + '"'


class Records(NamedTuple):
    """Records in order with the lines they start on, what was no record, by line, and how many rows held nothing."""

    records: list[Record]
    lines: Sequence[int]
    faults: dict[int, str]
    blank: int


class Plain(NamedTuple):
    """Lines that are an id and numbers: the ids, and by column float64 of shape (n_rows,), NaN for a blank cell."""

    ids: list[str]
    columns: Sequence[Column]
    lines: Sequence[int]


_NUMBER_MARKS = b"0123456789.,-+eE\r\n"


class CsvRecords:
    """Reads RFC 4180 records (double quotes, also after blanks) from blocks of whole lines.

    Python's reader takes an opening quote that nobody closes for the start of a cell that spans lines, and swallows
    what follows. Here such a record is put back: only its first line is refused, the rest is read again. That happens
    line by line. As long as every record keeps to its line, as in most files, thousands are read at once.

    Attributes
    ----------
    delimiter : what separates the cells, once the header has been read.
    titles : how many lines that held something came before the header.
    header_line : where the header begins.
    header_cells : those of its first line, as far as they can be told where it is no CSV.
    """

    def __init__(self, blocks: Iterable[str], mapping: ColumnMapping | None = None) -> None:
        self._blocks = iter(blocks)
        self._mapping = mapping
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []
        self._line = 0
        self._width = 0
        self._header: Record = []
        self._first_cells = {""}  # of rows that need a closer look
        self.delimiter = DELIMITERS[0]
        self.titles = 0
        self.header_line = 0
        self.header_cells: Record = []

    def header(self) -> Record | None:
        """Return the header, None if all lines are blank.

        It is the first line that has every column which must be there, if one of the first `MOST_TITLES` does: so
        titles above it do no harm. Otherwise it is the one that has most of them.

        Raises
        ------
        csv.Error
        """
        lines: list[str] = []
        cuts: dict[int, tuple[Record, str]] = {}
        declared = ""
        for line in self._first_lines():
            found = None if cuts or declared else _separator_line.fullmatch(line)
            declared = found[1] if found else declared
            if not found and line.strip(BLANKS):
                cuts[len(lines)] = self._cut(line, declared)
            lines.append(line)
            if len(lines) - 1 in cuts and self._is_whole(cuts[len(lines) - 1][0]):
                break
        else:
            if not cuts:
                return None
            place = max(cuts, key=lambda line: known_names(cuts[line][0], self._mapping))  # it will be refused
            cuts = {line: cut for line, cut in cuts.items() if line <= place}
        place, (self.header_cells, self.delimiter) = cuts.popitem()
        self.titles = len(cuts)
        self._blank_after_quote = re.compile(rf'"[ \t]+(?={re.escape(self.delimiter)}|[\r\n]*\Z)')
        self._waiting.extendleft(reversed([self._tidied(lines[place]), *lines[place + 1 :]]))
        self._line += place
        self.header_line = self._line + 1
        header = next(self._reader())
        self._header = _bare(header)
        self._width = len(header)
        self._first_cells = {"", self._header[0]}
        return header

    def read(self, most: int) -> Records | None:
        """Return the records of about `most` lines, or None at the end; those of another length are faults."""
        lines = self._taken_lines(most)
        if not lines:
            return None
        records = self._one_a_line(lines)
        if records is None:
            lines = [self._tidied(line) for line in lines]
            records = self._one_a_line(lines)
        if records is None:
            self._waiting.extendleft(reversed(lines))
            return self._carefully(self._line + len(lines))
        numbers = self._numbers_of(lines)
        if set(map(len, records)) == {self._width} and self._first_cells.isdisjoint(
            record[0].strip(BLANKS) for record in records
        ):
            return Records(records, numbers, {}, 0)
        return self._sorted_out(zip(numbers, records, strict=True))

    def plain(self, most: int) -> Plain | None:
        """Return about `most` lines if each is an id and numbers as JSON writes them; None if not, and read them then.

        Such lines are one JSON array but for its brackets: that takes a third of the time that cells take.
        """
        lines = self._taken_lines(most)
        ids, _, rests = zip(*[line.partition(",") for line in lines], strict=True) if lines else ((), (), ())
        columns = self._plain_columns(lines, rests) if self._are_ids(ids) else None
        if columns is None:
            self._waiting.extendleft(reversed(lines))
            return None
        return Plain(list(ids), columns, self._numbers_of(lines))

    def _are_ids(self, cells: Sequence[str]) -> bool:
        """Whether there are any, none is quoted, and none stands for a row that needs a closer look."""
        return (
            bool(cells)
            and '"' not in "".join(cells)
            and self._first_cells.isdisjoint(cell.strip(BLANKS) for cell in cells)
        )

    def _plain_columns(self, lines: Sequence[str], rests: Sequence[str]) -> Sequence[Column] | None:
        """Return the columns of the numbers behind the ids, if there is nothing else."""
        text = ",".join(rests)
        if not text.isascii() or text.encode().translate(None, _NUMBER_MARKS) or max(map(len, lines)) > MAX_LINE:
            return None
        if {line.count(",") for line in lines} != {self._width - 1}:
            return None
        try:
            values = orjson.loads(f"[{text.replace(',,', ',null,').replace(',,', ',null,')}]")
        except orjson.JSONDecodeError:
            return None
        return list(np.array(values, np.float64).reshape(len(lines), self._width - 1).T)

    def _taken_lines(self, most: int) -> list[str]:
        while len(self._waiting) < most and self._refill():
            pass
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def _numbers_of(self, lines: Sequence[str]) -> range:
        """Return the numbers of lines that have been read."""
        numbers = range(self._line + 1, self._line + 1 + len(lines))
        self._line += len(lines)
        return numbers

    def _first_lines(self) -> Iterator[str]:
        """Yield the lines among which the header is, without the blank ones before."""
        while (line := self._next_line()) is not None and not line.strip(BLANKS):
            self._line += 1
        if line is not None:
            yield line
            yield from islice(iter(self._next_line, None), MOST_TITLES - 1)

    def _is_whole(self, names: Record) -> bool:
        """Whether every column that must be there is."""
        header = read_header(names, self._mapping)
        return not header.missing and not header.unmapped

    def _cut(self, line: str, declared: str) -> tuple[Record, str]:
        """Return a line's cells and what separates them: the mark that finds the most columns, or else cells."""
        cuts = {mark: _cells(line, mark) for mark in dict.fromkeys([*declared, *DELIMITERS])}

        def merit(mark: str) -> tuple[int, bool, int]:
            return known_names(cuts[mark], self._mapping), mark == declared, len(cuts[mark])

        delimiter = max(cuts, key=merit)
        return cuts[delimiter], delimiter

    def _tidied(self, line: str) -> str:
        """Leave out blanks after a closing quote, which are no CSV to Python."""
        return self._blank_after_quote.sub('"', line) if '"' in line else line

    def _one_a_line(self, lines: list[str]) -> list[Record] | None:
        """Return the records if each of them is one line, else None."""
        try:
            records = list(csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True))
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
        """Leave out rows that hold nothing, and tell those of another length than the header's from the others."""
        records, lines, faults, blank = [], [], {}, 0
        for line, record in numbered:
            if not any(cell.strip(BLANKS) for cell in record):
                blank += 1
            elif record[0].strip(BLANKS) in self._first_cells and _bare(record) == self._header:
                faults[line] = "repeats the header"
            elif len(record) >= self._width and not any(cell.strip(BLANKS) for cell in record[self._width :]):
                records.append(record[: self._width])  # marks at the end separate nothing
                lines.append(line)
            elif not "".join(record).strip(_NOTHING):
                blank += 1
            else:
                cells = f"{len(record)} cell{'' if len(record) == 1 else 's'}"
                faults[line] = f"has {cells} where the header has {self._width}"
        return Records(records, lines, faults, blank)

    def _reader(self) -> Iterator[Record]:
        return csv.reader(self._feed(), delimiter=self.delimiter, strict=True, skipinitialspace=True)

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


def _bare(record: Record) -> Record:
    return [cell.strip(BLANKS) for cell in record]


def _cells(line: str, delimiter: str) -> Record:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # a cell that is too long
        return []


class CsvCustomers:
    """A CSV file of customers: UTF-8, cells separated by one of `DELIMITERS`.

    A quote before an id that would be a formula to spreadsheet programs is taken off: an export put it there.

    Attributes
    ----------
    header : which column is where.

    Raises
    ------
    FileRefused
        when the header lacks a required column or has one twice; nothing has been read beyond it then.
    """

    def __init__(self, pieces: Iterable[bytes], options: ReadOptions) -> None:
        self._records = CsvRecords(text_blocks(pieces), options.mapping)
        self._batch_rows = options.batch_rows
        written = self._read_header()
        self.header = read_header(written, options.mapping)
        if faults := self.header.faults(id_required=options.id_required):
            delimiter = self._records.delimiter
            place = f"line {self._records.header_line}"
            raise misfit(self.header, faults, place, _names.get(delimiter, repr(delimiter)))
        self._commas = False
        self._three_decimals: list[RowWarning] = []

    @property
    def columns(self) -> Sequence[ReadColumn]:
        """Which column is read from which of the file's."""
        return self.header.columns

    @property
    def ignored_columns(self) -> Sequence[str]:
        """The columns that are not read."""
        return self.header.ignored

    def batches(self) -> Iterator[Unchecked]:
        """Yield the file's rows in order."""
        warnings = [*alias_warnings(self.header.beside), *self._title_warnings()]
        while rows := self._next():
            rows.warnings = warnings + rows.warnings
            yield rows
            warnings = []

    def _read_header(self) -> Record:
        try:
            header = self._records.header()
        except csv.Error as error:
            cells = self._records.header_cells
            read = f"; line {self._records.header_line} was read as {shown(cells)}" if cells else ""
            raise FileRefused(f"The header is not CSV: {error}{read}.") from error
        if header is None:
            raise FileRefused("The file is empty.")
        if any("\0" in name for name in header):
            raise FileRefused("The file holds zero bytes, as binary files and UTF-16 text do; save it as UTF-8.")
        return header

    def _next(self) -> Unchecked | None:
        if self._may_be_plain and not self._commas and (plain := self._records.plain(self._batch_rows)):
            return self._of_plain(plain)
        found = self._records.read(self._batch_rows)
        return self._unchecked(found) if found else None

    @property
    def _may_be_plain(self) -> bool:
        return self._records.delimiter == "," and self.header.places.get(CUST_ID) == 0

    def _of_plain(self, plain: Plain) -> Unchecked:
        places = [self.header.places.get(feature.name) for feature in INPUTS]
        nothing = np.full(len(plain.lines), np.nan)  # for a nullable feature that the file does not have
        return Unchecked(
            lines=plain.lines,
            ids=_ids(plain.ids),
            columns=[nothing if place is None else plain.columns[place - 1] for place in places],
            null=_blank,
        )

    def _unchecked(self, found: Records) -> Unchecked:
        cells = list(zip(*found.records, strict=True)) or [()] * len(self.header.names)
        places = self.header.places
        rows = Unchecked(
            lines=found.lines,
            ids=_ids(cells[places[CUST_ID]]) if CUST_ID in places else None,
            columns=[],
            broken=found.faults,
            blank=found.blank,
            null=_blank,
        )
        for feature in INPUTS:
            place = places.get(feature.name)
            if place is None:  # a nullable feature that the file does not have
                rows.columns.append(np.full(len(found.lines), np.nan))
                continue
            numbers = parse_numbers(cells[place], feature)
            rows.columns.append(numbers.values)
            rows.words += numbers.words
            self._commas = self._commas or numbers.commas
            for row, detail in numbers.faults.items():
                rows.unreadable.setdefault(row, []).append((feature.name, detail))
        rows.warnings = self._point_warnings(found, cells, rows)
        return rows

    def _point_warnings(self, found: Records, cells: Sequence[Sequence[str]], rows: Unchecked) -> list[RowWarning]:
        """Return warnings of 7.500 in a file whose decimals have commas; it may turn out so later in the file."""
        if not self._commas and self._records.delimiter == ",":  # decimal commas are most unlikely then
            return []
        self._three_decimals += [
            RowWarning(line=found.lines[row], code="decimal_point_among_commas", column=feature.name, detail=_POINT)
            for feature in INPUTS
            if feature.name in self.header.places
            for row in with_three_decimals(cells[self.header.places[feature.name]])
            if row not in rows.unreadable
        ]
        if not self._commas:
            del self._three_decimals[_MOST_WAITING:]
            return []
        warnings, self._three_decimals = self._three_decimals, []
        return sorted(warnings, key=lambda warning: warning["line"] or 0)

    def _title_warnings(self) -> list[RowWarning]:
        if not self._records.titles:
            return []
        detail = "is the header; what stands above it was skipped as a title"
        return [RowWarning(line=self._records.header_line, code="title_lines", column=None, detail=detail)]


_POINT = (
    "has a point before three digits and was read as a fraction; other numbers in the file have decimal commas, among "
    "which it would mean thousands"
)
_MOST_WAITING = 10_000


def _blank(_row: int, _column: str) -> str:
    return "must not be blank"


def _ids(cells: Sequence[str]) -> list[str]:
    ids = [cell.strip(BLANKS) for cell in cells]
    if NEUTRAL not in "".join(ids):
        return ids
    return [i[1:] if i.startswith(NEUTRAL) and i[1:].startswith(FORMULA_MARKS) else i for i in ids]
