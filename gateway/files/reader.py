"""Files of customers of every kind that an import takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from gateway.files.csv import CsvCustomers
from gateway.files.ndjson import NdjsonCustomers
from gateway.files.parquet import ParquetCustomers, kept
from gateway.services.imports.source import Batch
from shared.model_contract import CSV, NDJSON, PARQUET

MEDIA_TYPES = (CSV, NDJSON, PARQUET)
SUFFIXES = {".csv": CSV, ".tsv": CSV, ".txt": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".parquet": PARQUET}
"""The kind of a file by the end of its name."""


class CustomerFile:
    """A file of customers that has turned out to be readable: the `Source` of an import.

    A Parquet file is read in no order: it is written to `folder` first. Of others no more is read than is asked for.

    Raises
    ------
    InvalidInput
        when it is not what its media type says, or its columns do not fit.
    """

    def __init__(self, media_type: str, pieces: Iterable[bytes], folder: Path | None = None) -> None:
        self.bytes_read = 0
        self._closing = ExitStack()
        self._customers = self._opened(media_type, self._counted(pieces), folder)

    @property
    def ignored_columns(self) -> Sequence[str]:
        """The columns that the data dictionary does not know, as far as they are known by now."""
        return self._customers.ignored_columns

    def batches(self) -> Iterator[Batch]:
        """Yield the file's rows in order, each batch checked."""
        return self._customers.batches()

    def close(self) -> None:
        """Let go of what was needed to read the file."""
        self._closing.close()

    def _opened(
        self, media_type: str, pieces: Iterator[bytes], folder: Path | None
    ) -> CsvCustomers | NdjsonCustomers | ParquetCustomers:
        if media_type == CSV:
            return CsvCustomers(pieces)
        if media_type == NDJSON:
            return NdjsonCustomers(pieces)
        with ExitStack() as opening:
            customers = ParquetCustomers(opening.enter_context(kept(pieces, folder)))
            opening.callback(customers.close)
            self._closing = opening.pop_all()
        return customers

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.bytes_read += len(piece)
            yield piece
