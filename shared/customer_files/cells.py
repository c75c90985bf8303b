"""Numbers as texts write them, and the words that stand for a missing one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson

from shared.columns import Column
from shared.features import Feature

MISSING_WORDS = ("NA", "N/A", "NULL", "NaN", "None", "<NA>", r"\N", "#N/A")
"""What databases, spreadsheets, R and pandas write for a missing value; in any letter case."""
BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\x1a\ufeff\u200b"
"""Characters that say nothing: white space, Ctrl-Z (the end of a file in DOS) and marks of no width."""

NOT_MISSING = "must be a number, not a word for a missing one"
DECIMAL_COMMA = "must be a number with a decimal point and no other marks, not with a comma"
_NOT_FINITE = "must be a finite number"
_NO_NUMBER = "must be a number"

_words = frozenset(word.casefold() for word in MISSING_WORDS)
_NUMBERS_OR_NULL = {float, int, type(None)}
_decimal_comma = re.compile(r"[+-]?(?:0|[\d.]+),\d{1,2}|0,\d+|[\d.]+,\d{4,}")


@dataclass(slots=True)
class Numbers:
    """A column's numbers.

    Attributes
    ----------
    values : float64 of shape (n_cells,), NaN for what is missing or could not be read.
    faults : why the latter could not, by row.
    words : how often which word stands for a missing number.
    commas : some cells have decimal commas for certain.
    """

    values: Column
    faults: dict[int, str] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)
    commas: bool = False


def is_missing_word(text: str) -> bool:
    """Whether a text stands for a missing value."""
    return text.casefold() in _words


def parse_numbers(cells: Sequence[str], feature: Feature) -> Numbers:
    """Read a column's cells: each the double nearest to what is written. A blank cell is missing.

    So is one with a word for it where the column may lack values.
    """
    values = _json_numbers(cells, feature.nullable)
    return _one_by_one(cells, feature) if values is None else Numbers(values)


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


def _one_by_one(cells: Sequence[str], feature: Feature) -> Numbers:
    found = Numbers(np.full(len(cells), np.nan))
    for row, cell in enumerate(cells):
        text = cell.strip(BLANKS)
        value = _number(text) if text else None
        if isinstance(value, float):
            found.values[row] = value
        elif is_missing_word(text):
            if feature.nullable:
                found.words[text] += 1
            else:
                found.faults[row] = NOT_MISSING
        elif value is not None:
            found.faults[row] = value
            found.commas = found.commas or bool(_decimal_comma.fullmatch(text))
    return found


def _number(text: str) -> float | str:
    """Return a text's number, or why it is none; never the text, which may hold an id."""
    if "_" not in text and text.isascii():  # float() also reads '1_000' and '１２', JSON does not
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            return _NOT_FINITE if value != value else value
    return DECIMAL_COMMA if "," in text else _NO_NUMBER


_thousands = re.compile(r"^\s*[1-9]\d{0,2}\.\d{3}\s*$", re.MULTILINE)


def with_three_decimals(cells: Sequence[str]) -> list[int]:
    """Return the rows of cells such as 7.500, which means 7,500 where decimals have commas."""
    if not _thousands.search("\n".join(cells)):  # most columns, and a look at all cells at once is cheap
        return []
    return [row for row, cell in enumerate(cells) if _thousands.fullmatch(cell)]
