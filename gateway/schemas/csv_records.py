"""Records of a CSV text with the lines they start on; a stray quote costs its own line and no other."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.schemas.text_blocks import MAX_LINE
from shared.column_names import known_names

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
