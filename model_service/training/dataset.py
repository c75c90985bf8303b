"""Reading and checking training data: the usable rows of a file of customers, as `shared.customer_files` reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_service.scoring.pipeline import Matrix
from model_service.training.errors import DataRefused
from model_service.training.informative import in_words, uninformative
from shared.customer_files.header import ColumnMapping, renamed
from shared.customer_files.reader import CustomerFile, media_type_of
from shared.customer_files.rows import FileRefused, ReadOptions, RowFault, Rows, RowWarning
from shared.features import DERIVED, DISTANCE_NAMES, INPUT_NAMES
from shared.model_description import DataSource, LeftOut

MAX_REFUSED_SHARE = 0.01
"""Training aborts when more of the rows than this break a hard rule."""

SHOWN = 20
"""Most refused rows that are named one by one."""

_DERIVED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Usable training rows.

    Attributes
    ----------
    frame : one float64 column per feature, derived ones included, NaN for missing; shape (n_rows, n_features).
    source : which file the rows came from.
    notes : what was left out or ignored, in words.
    lines : line in the file of each row, the header (or what would be one) being line 1, shape (n_rows,).
    left_out : the features that take no part in the distance, as they say nothing about these customers.
    """

    frame: pd.DataFrame
    source: DataSource
    notes: list[str]
    lines: NDArray[np.int64] | None
    left_out: Sequence[LeftOut] = ()

    @property
    def distance(self) -> pd.DataFrame:
        """The columns that take part in the distance, in training order."""
        unused = {left["feature"] for left in self.left_out}
        return self.frame[[name for name in DISTANCE_NAMES if name not in unused]]


class FileOfCustomers:
    """Reads the usable rows of a file in batches, and keeps count of the others.

    Parameters
    ----------
    columns : the name in the file by column, for columns whose names are not understood.
    """

    def __init__(self, path: Path, columns: ColumnMapping | None = None) -> None:
        self._path = path
        self._options = ReadOptions(columns or {}, id_required=False)
        self._faults: list[RowFault] = []
        self._warnings: dict[str, list[RowWarning]] = {}
        self._about: list[str] = []
        self.rows = 0
        self.refused = 0

    def batches(self) -> Iterator[Rows]:
        """Yield the usable rows in order.

        Raises
        ------
        DataRefused
            when the file cannot be read, a column is missing, or, in the end, if more than `MAX_REFUSED_SHARE` of the
            rows break a rule.
        """
        with (
            _refusals(self._path),
            self._path.open("rb") as content,
            closing(CustomerFile(media_type_of(self._path), content, self._options)) as file,
        ):
            for rows in file.batches():
                self._count(rows)
                yield rows
            self._about = _about(file)
        if not self.rows:
            raise DataRefused(f"{self._path.name} has no rows.")
        if self.refused > MAX_REFUSED_SHARE * self.rows:
            broken = f"{self.refused} of {self.rows} rows break a rule of the data dictionary, more than 1 %:"
            raise DataRefused("\n".join([broken, *self.notes]))

    @property
    def notes(self) -> list[str]:
        """What was left out or ignored, in words, once the file has been read."""
        first = {fault["line"]: fault for fault in reversed(self._faults)}
        notes = [f"line {line}: {_words(first[line])}" for line in sorted(first)[:SHOWN]]
        if self.refused > len(notes):
            notes.append(f"and {self.refused - len(notes)} more rows")
        for warnings in self._warnings.values():
            more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
            place = f"line {warnings[0]['line']}: " if warnings[0]["line"] else ""
            notes.append(f"{place}{_words(warnings[0])}{more}")
        return notes + self._about

    def _count(self, rows: Rows) -> None:
        self.rows += len(rows.lines) + rows.rejected
        self.refused += rows.rejected
        if len({fault["line"] for fault in self._faults}) < SHOWN:
            self._faults += rows.faults
        for warning in rows.warnings:
            self._warnings.setdefault(warning["code"], []).append(warning)


def _words(said: RowFault | RowWarning) -> str:
    return f"{said['column']} {said['detail']}" if said["column"] else said["detail"]


def _about(file: CustomerFile) -> list[str]:
    """Return what there is to say of how a file was read."""
    notes = [f"{column} is read from {written!r}" for column, written in renamed(file.columns)]
    if file.ignored_columns:
        notes.append(f"ignored columns: {', '.join(file.ignored_columns)}")
    if file.blank_rows:
        notes.append(f"blank rows, skipped: {file.blank_rows}")
    if file.missing_words:
        words = ", ".join(f"{word} ({count})" for word, count in sorted(file.missing_words.items()))
        notes.append(f"words for missing values: {words}")
    return notes


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except FileRefused as error:
        raise DataRefused(f"{path.name}: {error}") from error
    except OSError as error:
        raise DataRefused(f"{path} cannot be read: {error.strerror or error}.") from error


def read_customers(path: Path, columns: ColumnMapping | None = None, most_rows: int | None = None) -> TrainingData:
    """Read customers to train on.

    Rows that break a hard rule of the data dictionary are left out and named in ``notes``; columns that say nothing are
    left out of the distance, with a note.

    Parameters
    ----------
    columns : the name in the file by column, for columns whose names are not understood.
    most_rows : more usable rows than this are not held in memory.

    Raises
    ------
    DataRefused
        when `FileOfCustomers.batches` does so, there are more than `most_rows`, or too few columns tell customers
        apart.
    """
    file = FileOfCustomers(path, columns)
    inputs: list[Matrix] = []
    lines: list[NDArray[np.int64]] = []
    for rows in file.batches():
        inputs.append(np.array(rows.columns, np.float64))
        lines.append(np.array(rows.lines, np.int64))
        if most_rows is not None and file.rows - file.refused > most_rows:
            raise DataRefused(
                f"{path.name} has more usable rows than a training may hold in memory ({most_rows:,}, "
                "MAX_TRAINING_ROWS): train on a random sample of them, or raise the setting if there is memory for it."
            )
    frame = pd.DataFrame(np.concatenate(inputs, axis=1).T, columns=list(INPUT_NAMES))
    del inputs  # before more is made of them
    _derive(frame)
    source = DataSource(name=path.name, sha256=_sha256(path), rows=file.rows, refused=file.refused)
    left_out = uninformative(frame)
    notes = [*file.notes, *map(in_words, left_out)]
    return TrainingData(frame, source, notes, np.concatenate(lines), left_out)


def _derive(frame: pd.DataFrame) -> None:
    """Add the derived columns, some rows at a time: as Python numbers they take several times the memory."""
    inputs = frame.to_numpy()
    for feature in DERIVED:
        assert feature.derive is not None
        values = np.empty(len(frame))
        for start in range(0, len(frame), _DERIVED_AT_ONCE):
            block = inputs[start : start + _DERIVED_AT_ONCE].tolist()
            values[start : start + len(block)] = [
                feature.derive(dict(zip(INPUT_NAMES, row, strict=True))) for row in block
            ]
        frame[feature.name] = values


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
