"""What an import reads: batches of checked rows out of a file of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from gateway.services.customers.customer import Features

BATCH_ROWS = 5_000
"""Rows of a file that are checked, scored and written together: 10 to 20 MB in memory."""


class RowFault(TypedDict):
    """Why one row of a file was refused: its line (1-based, the header is line 1), the column and the reason.

    None of them holds anything of the row itself, which may be personal data.
    """

    line: int
    column: str | None
    detail: str


class RowWarning(TypedDict):
    """What looks odd in a file and is no reason to refuse anything; ``line`` is null where it is about the whole file.

    Like a `RowFault` it holds nothing of the row itself: no CUST_ID and no value.
    """

    line: int | None
    code: str
    column: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file after validation.

    Attributes
    ----------
    customers : (CUST_ID, features in stored form) of the faultless rows.
    lines : the lines they are on.
    faults : what was wrong with the others, in the order of their lines.
    rejected : how many rows were refused; one row can have several faults.
    warnings : what was odd about how they are written; the values themselves are looked at by whoever stores them.
    """

    customers: Sequence[tuple[str, Features]]
    lines: Sequence[int]
    faults: Sequence[RowFault]
    rejected: int
    warnings: Sequence[RowWarning] = ()


class Source(Protocol):
    """A file of customers that has turned out to be readable."""

    @property
    def ignored_columns(self) -> Sequence[str]:
        """The columns that the data dictionary does not know, as far as they are known by now."""

    @property
    def bytes_read(self) -> int:
        """How many bytes of the file have been read."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order; may raise `UploadBroken`, and `InvalidInput` for a damaged file."""

    def close(self) -> None:
        """Let go of what was needed to read the file."""
