"""NDJSON: a customer in JSON on each line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from json import JSONDecodeError
from typing import Any

import numpy as np

from shared.columns import Column
from shared.customer_files.cells import BLANKS, NOT_MISSING, is_missing_word
from shared.customer_files.header import Header, ReadColumn, alias_warnings, read_header
from shared.customer_files.rows import FileRefused, ReadOptions, RowWarning, Unchecked
from shared.customer_files.text import MAX_LINE, text_blocks
from shared.features import CUST_ID, INPUTS, Feature
from shared.strict_json import MalformedJSON, loads

OWN_FIELDS = frozenset({"segment", "segment_status", "revision", "seq", "created_at", "updated_at"})
"""What the service adds to a customer; an export has it, and whoever reads that export leaves it aside."""

_NUMBERS_OR_NULL = {float, int, type(None)}
_MARKS = "".join(set(BLANKS) - set(" \t\r\n"))
"""What may stand before an object; JSON's own white space is left in place, as faults count characters."""
_MOST_KINDS = 1_000
"""Sets of names of which it is remembered what they mean."""
_MOST_COLUMNS = 100
_nameable = re.compile(r"[A-Za-z_][A-Za-z_ -]{0,63}")


class NdjsonCustomers:
    """A file of customers in JSON, one on each line.

    Names may be written in all ways that a column's may. As in a request for one customer, an unknown field is a
    fault; only what the service itself adds to customers is ignored, and named in `ignored_columns`.

    Raises
    ------
    FileRefused
        for an empty file, or one that is a JSON array; nothing has been read beyond its first block then.
    """

    def __init__(self, pieces: Iterable[bytes], options: ReadOptions) -> None:
        blocks = text_blocks(pieces)
        first = next(blocks, "")
        if not first:
            raise FileRefused("The file is empty.")
        if first.lstrip().startswith("["):
            raise FileRefused("The file is a JSON array; write each customer on a line, without brackets and commas.")
        self._lines = enumerate(_lines(chain([first], blocks)), start=1)
        self._options = options
        self._objects = _Objects(options.mapping)

    @property
    def columns(self) -> Sequence[ReadColumn]:
        """Which column was read from which names so far."""
        return list(self._objects.columns.values())

    @property
    def ignored_columns(self) -> Sequence[str]:
        """The names that were met so far and are not read."""
        return list(self._objects.ignored)

    def batches(self) -> Iterator[Unchecked]:
        """Yield the file's rows in order."""
        while some := list(islice(self._lines, self._options.batch_rows)):
            yield self._unchecked(some)

    def _unchecked(self, numbered: list[tuple[int, str]]) -> Unchecked:
        headers: list[Header] = []
        values: list[Sequence[Any]] = []
        lines: list[int] = []
        rows = Unchecked(lines, None, [])
        for number, line in numbered:
            line = line.lstrip(_MARKS).rstrip(BLANKS)
            if not line.strip():
                rows.blank += 1
                continue
            try:
                header, found = self._objects.read(line)
            except _NoRow as error:
                rows.broken[number] = str(error)
                continue
            if found is None:
                rows.blank += 1
                continue
            for column, detail in self._objects.faults(header):
                rows.unreadable.setdefault(len(lines), []).append((column, detail))
            lines.append(number)
            headers.append(header)
            values.append(found)
        ids, *columns = zip(*values, strict=True) if values else [()] * (1 + len(INPUTS))
        # A file in which nobody has an id has no ids.
        rows.ids = list(map(_id, ids)) if self._options.id_required or self._objects.has_ids else None
        rows.columns = [_numbers(column, feature, rows) for column, feature in zip(columns, INPUTS, strict=True)]
        rows.warnings = self._objects.new_warnings()
        rows.null = lambda row, column: _absent(headers[row], values[row], column)
        return rows


class _NoRow(Exception):
    """A line is no customer; the message says why."""


class _Objects:
    """Reads customers' values out of JSON objects, of which most have the same names in the same order."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = mapping
        self._headers: dict[tuple[str, ...], Header] = {}
        self._faults: dict[tuple[str, ...], list[tuple[str | None, str]]] = {}
        self._warnings: list[RowWarning] = []
        self.columns: dict[tuple[str, str], ReadColumn] = {}
        self.ignored: dict[str, None] = {}

    @property
    def has_ids(self) -> bool:
        return any(column == CUST_ID for column, _ in self.columns)

    def read(self, line: str) -> tuple[Header, Sequence[Any] | None]:
        """Return what the names of a line's object mean, and the values that are read; None if all are blank.

        Raises
        ------
        _NoRow
        """
        if len(line) > MAX_LINE:
            raise _NoRow(f"is longer than {MAX_LINE:,} characters")
        try:
            sent = loads(line.encode())
        except MalformedJSON as error:
            raise _NoRow(_syntax_fault(error)) from error
        if not isinstance(sent, dict):
            raise _NoRow("must be an object")
        header = self._headers.get(tuple(sent)) or self._header(tuple(sent))
        values = list(sent.values())
        if values and all(map(_is_blank, values)):
            return header, None
        places = header.places
        return header, [values[places[name]] if name in places else None for name in _WANTED]

    def faults(self, header: Header) -> list[tuple[str | None, str]]:
        """Return what is wrong with an object's names, in words that hold no unknown ones: they may be ids."""
        return self._faults[tuple(header.names)]

    def new_warnings(self) -> list[RowWarning]:
        """Return the warnings of names that have not been returned before."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def _header(self, names: tuple[str, ...]) -> Header:
        if len(self._headers) >= _MOST_KINDS:  # nobody writes so many but to fill the memory
            self._headers.clear()
            self._faults.clear()
        header = self._headers[names] = read_header(names, self._mapping)
        own = [name for name in header.ignored if name in OWN_FIELDS]
        unknown = [name for name in header.ignored if name not in OWN_FIELDS and name not in header.beside]
        self._faults[names] = [
            *((name if _nameable.fullmatch(name) else None, "is not a known field") for name in unknown),
            *((name, "is there twice, under more than one name") for name in header.twice),
        ]
        beside = {name: column for name, column in header.beside.items() if name not in self.ignored}
        self._warnings += alias_warnings(beside)
        self.ignored |= dict.fromkeys([*own, *header.beside])
        for column in header.columns:
            if len(self.columns) < _MOST_COLUMNS:
                self.columns.setdefault((column["column"], column["read_from"]), column)
        return header


_WANTED = (CUST_ID, *(feature.name for feature in INPUTS))


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip(BLANKS))


def _absent(header: Header, values: Sequence[Any], column: str) -> str:
    """Return what is wrong with an object that lacks the value of a column."""
    if column not in header.places:
        return "is missing"
    return "must not be null" if values[_WANTED.index(column)] is None else "must not be blank"


def _id(value: object) -> object:
    """Return an id as text: whole numbers may be ids, as in the other formats."""
    if isinstance(value, str):
        return value.strip(BLANKS)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _numbers(values: Sequence[Any], feature: Feature, rows: Unchecked) -> Column:
    """Return a column's numbers, NaN for what is none; why it is none goes to `rows`."""
    if set(map(type, values)) <= _NUMBERS_OR_NULL:
        return np.array(values, np.float64)
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if type(value) in (int, float):
            numbers[row] = value
        elif isinstance(value, str) and is_missing_word(text := value.strip(BLANKS)):
            if feature.nullable:
                rows.words[text] += 1
            else:
                rows.unreadable.setdefault(row, []).append((feature.name, NOT_MISSING))
        elif not _is_blank(value):
            rows.unreadable.setdefault(row, []).append((feature.name, feature.fault(value) or "must be a number"))
    return numbers


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
        yield from io.StringIO(block, newline=None)  # at every kind of line end, as the blocks are cut


def _syntax_fault(error: MalformedJSON) -> str:
    """Return what is wrong with a line, in words that hold nothing of it."""
    syntax = error.__cause__
    if isinstance(syntax, JSONDecodeError):
        return f"is not valid JSON, from character {syntax.pos + 1} on"
    return "has a name twice, or is nested too deep"
