"""Records of a CSV stream with the lines they start on; a stray quote costs its own line and no other."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator

Record = list[str]


class CsvRecords:
    """Reads RFC 4180 records (comma, double quotes) from physical lines.

    Python's reader takes an opening quote that nobody closes for the start of a cell that spans lines, and swallows
    what follows. Here such a record is put back: only its first line is refused, the rest is read again.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._line = 0
        self._reader = csv.reader(self._feed(), strict=True)

    def read(self) -> tuple[int, Record | csv.Error] | None:
        """Return the next record (empty for a blank line), or what is wrong with it, and its first line's number.

        None at the end.
        """
        self._taken.clear()
        start = self._line + 1
        try:
            record = next(self._reader, None)
        except csv.Error as error:
            self.put_back()
            return start, error
        return None if record is None else (start, record)

    def put_back(self) -> None:
        """Read all lines of the last record but its first once more, each as the start of a record."""
        self._again.extendleft(reversed(self._taken[1:]))
        self._line -= len(self._taken) - 1
        self._taken.clear()
        self._reader = csv.reader(self._feed(), strict=True)  # the old one may have seen the end

    def _feed(self) -> Iterator[str]:
        while (line := self._again.popleft() if self._again else next(self._lines, None)) is not None:
            self._taken.append(line)
            self._line += 1
            yield line
