"""Files of customers that an import takes: an upload in, batches of customers in stored form out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from gateway.services.errors import InvalidInput, StoreUnavailable
from gateway.services.imports.source import Batch
from shared.columns import stored_column
from shared.customer_files import reader
from shared.customer_files.header import ColumnMapping, ReadColumn
from shared.customer_files.rows import BATCH_ROWS, FileRefused, ReadOptions, Rows
from shared.features import DERIVED, INPUTS
from shared.model_contract import CSV, PARQUET, TSV


class CustomerFile:
    """A file of customers that has turned out to be readable: the `Source` of an import.

    A Parquet file is read in no order: it is written to `folder` first. Of others no more is read than is asked for.

    Parameters
    ----------
    mapping : the name in the file by column, for columns whose names are not understood.

    Raises
    ------
    InvalidInput
        when it is not what its media type says, or its columns do not fit.
    """

    def __init__(
        self,
        media_type: str,
        pieces: Iterable[bytes],
        folder: Path | None = None,
        mapping: ColumnMapping | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.bytes_read = 0
        self._last = b"\n"
        self._lines = media_type in (CSV, TSV)  # of the others a cut one cannot be read
        options = ReadOptions(mapping or {}, batch_rows=batch_rows)
        counted = self._counted(pieces)
        with ExitStack() as opening, _refused():
            content = opening.enter_context(kept(counted, folder)) if media_type == PARQUET else counted
            self._file = reader.CustomerFile(media_type, content, options)
            opening.callback(self._file.close)
            self._closing = opening.pop_all()

    @property
    def columns(self) -> Sequence[ReadColumn]:
        """Which column is read from which of the file's, as far as that is known by now."""
        return self._file.columns

    @property
    def ignored_columns(self) -> Sequence[str]:
        """The columns that are not read, as far as they are known by now."""
        return self._file.ignored_columns

    @property
    def blank_rows(self) -> int:
        """How many rows so far held nothing; they were skipped."""
        return self._file.blank_rows

    @property
    def missing_words(self) -> Mapping[str, int]:
        """How often which word stood for a missing value so far."""
        return self._file.missing_words

    @property
    def ends_open(self) -> bool:
        """Whether all that was read so far ends in a line without an end, which may have been cut."""
        return self._lines and self._last not in b"\r\n"

    def batches(self) -> Iterator[Batch]:
        """Yield the file's rows in order, each batch checked."""
        with _refused():
            for rows in self._file.batches():
                yield Batch(customers_of(rows), rows.lines, rows.faults, rows.rejected, rows.warnings, rows.refused_ids)

    def close(self) -> None:
        """Let go of what was needed to read the file."""
        self._closing.close()

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.bytes_read += len(piece)
            self._last = piece[-1:] or self._last
            yield piece


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except FileRefused as error:
        raise InvalidInput(error.errors, str(error)) from error


def customers_of(rows: Rows) -> list[tuple[str, dict[str, float | int | None]]]:
    """Return (CUST_ID, features in stored form) of faultless rows."""
    assert rows.ids is not None
    stored = [stored_column(column, feature) for column, feature in zip(rows.columns, INPUTS, strict=True)]
    names = [feature.name for feature in (*INPUTS, *DERIVED)]
    empty: dict[str, float | int | None] = dict.fromkeys(names)  # of full size, as a dict that grows is made thrice
    features = []
    for values in zip(*stored, strict=True):
        features.append(one := empty.copy())
        one.update(zip(names, values, strict=False))  # the derived ones follow
    for derived in DERIVED:
        assert derived.derive is not None
        for row in features:
            row[derived.name] = derived.derive(row)
    return list(zip(rows.ids, features, strict=True))


def kept(pieces: Iterable[bytes], folder: Path | None) -> IO[bytes]:
    """Write a file that is read in no order to disk; it goes when it is closed, and with this process.

    Parameters
    ----------
    folder : where; None for the system's own place.

    Raises
    ------
    StoreUnavailable
        when there is no room for it.
    """
    with ExitStack() as opening:
        try:
            file = opening.enter_context(tempfile.TemporaryFile(prefix="import-", dir=folder))
            for piece in pieces:
                file.write(piece)
            file.seek(0)
        except OSError as error:
            raise StoreUnavailable(f"The file cannot be kept while it is read: {error.strerror}.") from error
        opening.pop_all()  # whoever asked for it closes it
    return file


def received(pieces: Iterable[bytes], folder: Path | None) -> Iterator[bytes]:
    """Receive a whole file, and return its pieces.

    Raises
    ------
    StoreUnavailable
        as `kept`.
    """
    file = kept(pieces, folder)

    def read_again() -> Iterator[bytes]:
        with file:
            while piece := file.read(_PIECE):
                yield piece

    return read_again()


_PIECE = 256 * 1024
