"""The program that decodes Parquet, run in this process: starting another takes most of a second."""

from __future__ import annotations

import io
from typing import IO

from shared.customer_files.parquet_program import write_columns
from shared.customer_files.rows import ReadOptions


class ProgramInProcess:
    """Stands in for `shared.customer_files.parquet.ParquetProgram`, without its bounds."""

    def __init__(self, file: IO[bytes], options: ReadOptions) -> None:
        self.output = io.BytesIO()
        self._status = write_columns(file, self.output, options.mapping, options.batch_rows)  # type: ignore[arg-type]
        self.output.seek(0)

    def status(self) -> int:
        return self._status

    def close(self) -> None:
        pass
