"""Writing up to a thousand customers in one request, with a verdict for every one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.services.customers.bulk_writes import BulkWriter, Mode, Outcome, RowStatus, Verdict
from gateway.services.customers.customer import ASSIGNED, PENDING, Features, SegmentStatus, ignored
from gateway.services.errors import (
    CustomerExists,
    DuplicateInBatch,
    InvalidInput,
    RevisionRequired,
    SegmentationError,
    StaleRevision,
)
from shared.features import complete
from shared.findings import Finding, findings

MAX_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A faultless row: the customer, and the revision it must have where the caller says so."""

    cust_id: str
    sent: Features
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that breaks a rule, and the id it would have; None where that is no id either."""

    cust_id: str | None
    error: InvalidInput


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row.

    Attributes
    ----------
    revision, segment_status : the stored customer's; None for a rejected row.
    error : why the row was rejected.
    """

    cust_id: str | None
    status: RowStatus
    revision: str | None = None
    segment_status: SegmentStatus | None = None
    warnings: Sequence[Finding] = ()
    error: SegmentationError | None = None


_REFUSALS: Mapping[Verdict, Callable[[str], SegmentationError]] = {
    Verdict.EXISTS: CustomerExists,
    Verdict.STALE: StaleRevision,
    Verdict.ABSENT: StaleRevision.of_nobody,
    Verdict.REVISION_REQUIRED: RevisionRequired,
}


class BatchService:
    """Stores a batch of customers; bad rows never stop good ones."""

    def __init__(self, writer: BulkWriter) -> None:
        self._writer = writer

    def write(self, rows: Sequence[BatchRow | InvalidRow], mode: Mode) -> list[RowResult]:
        """Return what became of each row, in order. Of faultless rows with the same CUST_ID, the first is written.

        Raises
        ------
        StoreError, Contended
            some rows may have been written then; the same batch again finishes the rest.
        """
        first: dict[str, BatchRow] = {}
        for row in rows:
            if isinstance(row, BatchRow):
                first.setdefault(row.cust_id, row)
        features = {cust_id: complete(row.sent) for cust_id, row in first.items()}
        expected = {cust_id: row.revision for cust_id, row in first.items() if row.revision is not None}
        outcomes = self._writer.write(features, mode, expected)
        return [
            RowResult(row.cust_id, "rejected", error=row.error)
            if isinstance(row, InvalidRow)
            else _result(row, first, features, outcomes)
            for row in rows
        ]


def _result(
    row: BatchRow, first: Mapping[str, BatchRow], features: Mapping[str, Features], outcomes: Mapping[str, Outcome]
) -> RowResult:
    cust_id = row.cust_id
    if first[cust_id] is not row:
        return RowResult(cust_id, "rejected", error=DuplicateInBatch(cust_id))
    outcome = outcomes[cust_id]
    if refusal := _REFUSALS.get(outcome.verdict):
        return RowResult(cust_id, "rejected", error=refusal(cust_id))
    segment_status: SegmentStatus = PENDING if outcome.pending else ASSIGNED
    warnings = findings(features[cust_id], row.sent) + ignored(row.sent)
    return RowResult(cust_id, outcome.status, outcome.revision, segment_status, warnings)
