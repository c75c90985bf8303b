"""A file of customers of any kind, as batches of checked columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, cast

from shared.customer_files.csv import CsvCustomers
from shared.customer_files.header import ReadColumn
from shared.customer_files.ndjson import NdjsonCustomers
from shared.customer_files.parquet import ParquetCustomers, ParquetProgram
from shared.customer_files.repeated_ids import RepeatedIds
from shared.customer_files.rows import FileRefused, ReadOptions, Rows, Unchecked, check
from shared.model_contract import CSV, NDJSON, PARQUET, TSV

MEDIA_TYPES = (CSV, NDJSON, PARQUET, TSV)
SUFFIXES = {".csv": CSV, ".tsv": CSV, ".txt": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".parquet": PARQUET}
"""The kind of a file by the end of its name."""
MOST_USELESS = 2_000_000
"""So many blank rows, or half as many faults, end the reading if most rows are of no use.

A Parquet file of a megabyte can have a hundred million rows, and a look at each of them would take minutes."""

_PARQUET_MAGIC = b"PAR1"
_PIECE = 256 * 1024


class CustomerFile:
    """A file of customers that has turned out to be readable. No more of it is read than is asked for.

    Attributes
    ----------
    blank_rows : how many rows so far held nothing; they are skipped.
    missing_words : how often which word stood for a missing value so far.

    Parameters
    ----------
    content : the file, open in the operating system for Parquet; of other kinds, pieces of it will do.

    Raises
    ------
    FileRefused
        when it is not what its media type says, or its columns do not fit.
    """

    def __init__(
        self, media_type: str, content: IO[bytes] | Iterable[bytes], options: ReadOptions | None = None
    ) -> None:
        self._customers = _opened(media_type, content, options or ReadOptions())
        self._seen = RepeatedIds()
        self._rows = self._useless = self._spent = 0
        self.blank_rows = 0
        self.missing_words: Counter[str] = Counter()

    @property
    def columns(self) -> Sequence[ReadColumn]:
        """Which column is read from which of the file's, as far as that is known by now."""
        return self._customers.columns

    @property
    def ignored_columns(self) -> Sequence[str]:
        """The columns that are not read, as far as they are known by now."""
        return self._customers.ignored_columns

    def batches(self) -> Iterator[Rows]:
        """Yield the file's rows in order, each batch checked.

        Raises
        ------
        FileRefused
            when it is damaged, or nearly all of very many rows are of no use.
        """
        for rows in self._customers.batches():
            yield self._checked(rows)
            if self._spent > MOST_USELESS and self._useless > self._rows / 2:
                raise FileRefused(
                    f"{self._useless:,} of the first {self._rows:,} rows are refused or hold nothing: "
                    "the rest of the file is not read."
                )

    def close(self) -> None:
        """Let go of what was needed to read the file."""
        if isinstance(self._customers, ParquetCustomers):
            self._customers.close()

    def _checked(self, rows: Unchecked) -> Rows:
        checked = check(rows, self._seen)
        self.blank_rows += rows.blank
        self.missing_words += rows.words
        self._useless += rows.blank + checked.rejected
        self._spent += rows.blank + 2 * len(checked.faults)
        self._rows += rows.blank + checked.rejected + len(checked.lines)
        return checked


def media_type_of(file: Path) -> str:
    """Return the kind of a file: by its first bytes if it is Parquet, else by the end of its name; CSV without one.

    Raises
    ------
    OSError
    """
    with file.open("rb") as content:
        if content.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC:
            return PARQUET
    return SUFFIXES.get(file.suffix.lower(), CSV)


def _opened(
    media_type: str, content: IO[bytes] | Iterable[bytes], options: ReadOptions
) -> CsvCustomers | NdjsonCustomers | ParquetCustomers:
    if media_type == PARQUET:
        return ParquetCustomers(ParquetProgram(cast(IO[bytes], content), options), options)
    pieces = iter(partial(content.read, _PIECE), b"") if hasattr(content, "read") else content
    return NdjsonCustomers(pieces, options) if media_type == NDJSON else CsvCustomers(pieces, options)
