"""What an import reads: batches of checked rows out of a file of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.services.customers.customer import Features
from shared.customer_files.header import ReadColumn
from shared.customer_files.rows import RowFault as RowFault
from shared.customer_files.rows import RowWarning as RowWarning


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
    refused_ids : the CUST_IDs of the refused rows, of those where it can be read.
    """

    customers: Sequence[tuple[str, Features]]
    lines: Sequence[int]
    faults: Sequence[RowFault]
    rejected: int
    warnings: Sequence[RowWarning] = ()
    refused_ids: Sequence[str] = ()


class Source(Protocol):
    """A file of customers that has turned out to be readable."""

    @property
    def columns(self) -> Sequence[ReadColumn]:
        """Which column is read from which of the file's, as far as that is known by now."""

    @property
    def ignored_columns(self) -> Sequence[str]:
        """The columns that are not read, as far as they are known by now."""

    @property
    def blank_rows(self) -> int:
        """How many rows so far held nothing; they were skipped."""

    @property
    def missing_words(self) -> Mapping[str, int]:
        """How often which word stood for a missing value so far."""

    @property
    def ends_open(self) -> bool:
        """Whether all that was read so far ends in a line without an end, which may have been cut."""

    @property
    def bytes_read(self) -> int:
        """How many bytes of the file have been read."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order, without those whose id came before.

        May raise `UploadBroken`, and `InvalidInput` for a damaged file.
        """

    def close(self) -> None:
        """Let go of what was needed to read the file."""
