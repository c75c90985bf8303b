"""Counting what looks odd in a file, a batch at a time: how often, in which columns, and the first examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from gateway.services.customers.customer import Features
from gateway.services.imports.records import ColumnCount, WarningExample, WarningKind
from gateway.services.imports.source import RowWarning
from shared.features import INPUT_NAMES
from shared.findings import ColumnFinding, column_findings, outside_training_range
from shared.model_description import Range

MAX_EXAMPLES = 5
"""How many examples of each code a receipt has."""

Matrix = NDArray[np.float64]
"""Customers in rows and `INPUT_NAMES` in columns, NaN for null."""

Ranges = Mapping[str, Range]
"""Between what the training customers lie, by feature."""

NO_RANGES = RowWarning(
    line=None,
    code="training_range_unknown",
    column=None,
    detail="The model service did not say between what the training customers lie: values outside are not counted.",
)

ENDS_OPEN = RowWarning(
    line=None,
    code="last_line_open",
    column=None,
    detail="The last line has no line end: the file may have been cut within it, and rows and digits may be missing.",
)
"""Of a file that mirrors the customers."""


_inputs = itemgetter(*INPUT_NAMES)


def matrix_of(customers: Sequence[tuple[str, Features]]) -> Matrix:
    """Return the features of customers, in 0.6 µs for each."""
    rows = [_inputs(features) for _, features in customers]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(INPUT_NAMES))


class WarningTally:
    """Warnings by code: how many, in which columns, and the first of them.

    An example holds the line, the column and a sentence, and neither the CUST_ID nor a value: a receipt outlives the
    customer, erasing one does not reach into it, and the line finds the row in the sender's own file.
    """

    def __init__(self, warnings: Sequence[RowWarning] = ()) -> None:
        self._columns: dict[str, Counter[str | None]] = {}
        self._examples: dict[str, list[WarningExample]] = {}
        for warning in warnings:
            self._note(warning["code"], warning["column"], warning["detail"], 1, [warning["line"]])

    def add(self, later: WarningTally) -> None:
        """Add what was found behind all that has been counted."""
        for code, columns in later._columns.items():
            self._columns.setdefault(code, Counter()).update(columns)
            examples = self._examples.setdefault(code, [])
            examples += later._first(code)[: MAX_EXAMPLES - len(examples)]

    def note_rows(self, rows: Matrix, lines: Sequence[int], ranges: Ranges) -> None:
        """Count the soft findings about faultless rows, and the values that lie outside of `ranges`."""
        columns = dict(zip(INPUT_NAMES, rows.T, strict=True))
        for found in (*column_findings(columns), *_outside(columns, ranges)):
            first = np.flatnonzero(found.rows)[:MAX_EXAMPLES].tolist()
            number = int(np.count_nonzero(found.rows))
            self._note(found.code, found.column, found.detail, number, [lines[row] for row in first])

    def summary(self) -> list[WarningKind]:
        """Return the warnings as a receipt has them, the most frequent first."""
        codes = sorted(self._columns, key=lambda code: (-self._columns[code].total(), code))
        return [
            WarningKind(
                code=code,
                count=self._columns[code].total(),
                columns=[ColumnCount(column=name, count=n) for name, n in self._columns[code].most_common()],
                examples=self._first(code),
            )
            for code in codes
        ]

    def _note(self, code: str, column: str | None, detail: str, count: int, lines: Sequence[int | None]) -> None:
        self._columns.setdefault(code, Counter())[column] += count
        examples = self._examples.setdefault(code, [])
        examples += [WarningExample(line=line, column=column, detail=detail) for line in lines]
        if len(examples) > 100 * MAX_EXAMPLES:  # a reader may note something about every cell
            self._examples[code] = self._first(code)

    def _first(self, code: str) -> list[WarningExample]:
        return sorted(self._examples[code], key=lambda example: example["line"] or 0)[:MAX_EXAMPLES]


def _outside(columns: Mapping[str, NDArray[np.float64]], ranges: Ranges) -> Iterator[ColumnFinding]:
    for name in columns.keys() & ranges.keys():
        low, high = ranges[name]["low"], ranges[name]["high"]
        outside = (columns[name] < low) | (columns[name] > high)  # false for NaN
        if outside.any():
            finding = outside_training_range(name, low, high)
            yield ColumnFinding(name, finding["code"], finding["detail"], outside)
