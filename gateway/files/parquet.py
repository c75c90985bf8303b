"""Customers from a Parquet file of any size, by way of a process that turns it into CSV (`parquet_text`)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from gateway.files.csv import CsvCustomers
from gateway.services.errors import InvalidInput, StoreUnavailable
from gateway.services.imports.source import Batch
from shared.problems import FieldError

_COMMAND = [sys.executable, "-m", "gateway.files.parquet_text"]
_PIECE = 256 * 1024
_DAMAGED = "The file is damaged or needs too much memory: it cannot be read to its end."


class ParquetCustomers:
    """A Parquet file of customers. As in CSV, unknown columns are ignored; the first row is line 2.

    The numbers have to be numbers there, and CUST_ID text or whole numbers.

    Raises
    ------
    InvalidInput
        when it is no Parquet file, or its columns do not fit.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._program = subprocess.Popen(_COMMAND, stdin=file, stdout=subprocess.PIPE)  # noqa: S603  # ourselves
        try:
            self.ignored_columns = self._begun()
            self._rows = CsvCustomers(self._pieces())
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[Batch]:
        """Yield the file's rows in order, each batch checked."""
        return self._rows.batches()

    def close(self) -> None:
        """End the process."""
        self._program.kill()
        self._program.communicate()

    def _begun(self) -> list[str]:
        assert self._program.stdout is not None
        line = self._program.stdout.readline()
        said: dict[str, Any] = json.loads(line) if line else {"refused": _DAMAGED}
        if "refused" in said:
            raise _damaged(said["refused"])
        return list(said["ignored"])

    def _pieces(self) -> Iterator[bytes]:
        assert self._program.stdout is not None
        while piece := self._program.stdout.read(_PIECE):
            yield piece
        if self._program.wait():
            raise _damaged(_DAMAGED)


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


def _damaged(detail: str) -> InvalidInput:
    return InvalidInput([FieldError(pointer="", detail=detail)], detail)
