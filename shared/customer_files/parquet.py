"""Parquet: columns of customers, by way of a process that decodes the file (`parquet_program`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from shared.customer_files.header import ReadColumn, alias_warnings, misfit, read_header
from shared.customer_files.rows import FileRefused, ReadOptions, Unchecked
from shared.features import INPUTS

_COMMAND = [sys.executable, "-m", "shared.customer_files.parquet_program"]
_DAMAGED = "The file is damaged or needs too much memory: it cannot be read to its end."
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # NumPy sets memory aside for each


class ParquetProgram:
    """The process that decodes a file.

    Attributes
    ----------
    output : what it writes.

    Parameters
    ----------
    file : open in the operating system.
    """

    def __init__(self, file: IO[bytes], options: ReadOptions) -> None:
        command = [*_COMMAND, json.dumps(dict(options.mapping)), str(options.batch_rows)]
        self._process = subprocess.Popen(  # noqa: S603  # ourselves
            command, stdin=file, stdout=subprocess.PIPE, env=os.environ | _ONE_THREAD
        )
        assert self._process.stdout is not None
        self.output: IO[bytes] = self._process.stdout

    def status(self) -> int:
        """Wait until it has ended; return its exit status."""
        return self._process.wait()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class ParquetCustomers:
    """A Parquet file of customers; the first row is line 2, as it would be in CSV.

    The numbers have to be numbers there, and CUST_ID text or whole numbers.

    Attributes
    ----------
    header : which column is where.

    Parameters
    ----------
    program : decodes the file; it ends with this.

    Raises
    ------
    FileRefused
        when it is no Parquet file, or its columns do not fit.
    """

    def __init__(self, program: ParquetProgram, options: ReadOptions) -> None:
        self._program = program
        try:
            names = self._begun()
            self.header = read_header(names, options.mapping)
            if faults := self.header.faults(id_required=options.id_required):
                raise misfit(self.header, faults, "the schema")
            self._line = 2
        except BaseException:
            self.close()
            raise

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
        warnings = alias_warnings(self.header.beside)
        while said := self._said():
            rows = self._unchecked(said)
            rows.warnings = warnings
            yield rows
            warnings = []
        if self._program.status():
            raise FileRefused(_DAMAGED)

    def close(self) -> None:
        """End the process."""
        self._program.close()

    def _begun(self) -> list[str]:
        said = self._said() or {"refused": _DAMAGED}
        if "refused" in said:
            raise FileRefused(said["refused"])
        return list(said["names"])

    def _said(self) -> dict[str, Any] | None:
        line = self._program.output.readline()
        said: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return said

    def _unchecked(self, said: dict[str, Any]) -> Unchecked:
        count, size = said["rows"], said["ids"]
        ids = None if size is None else self._bytes(size).decode().split("\n")
        columns = [
            np.frombuffer(self._bytes(8 * count), np.float64)
            if feature.name in self.header.places
            else np.full(count, np.nan)
            for feature in INPUTS
        ]
        rows = Unchecked(range(self._line, self._line + count), ids, columns, words=Counter(said["words"]))
        self._line += count
        return _without_blank(rows)

    def _bytes(self, size: int) -> bytes:
        found = self._program.output.read(size)
        if len(found) < size:
            raise FileRefused(_DAMAGED)
        return found


def _without_blank(rows: Unchecked) -> Unchecked:
    """Leave out rows without any value, and put null for the ids that are."""
    empty = np.all([np.isnan(column) for column in rows.columns], axis=0)
    if rows.ids is not None:
        nulls = [not cust_id for cust_id in rows.ids]
        empty &= np.array(nulls, bool)
        if any(nulls):
            rows.ids = [cust_id or None for cust_id in rows.ids]
    if not empty.any():
        return rows
    kept = np.flatnonzero(~empty)
    return Unchecked(
        lines=[rows.lines[place] for place in kept.tolist()],
        ids=None if rows.ids is None else [rows.ids[place] for place in kept.tolist()],
        columns=[column[kept] for column in rows.columns],
        blank=int(empty.sum()),
        words=rows.words if len(kept) else Counter(),
    )
