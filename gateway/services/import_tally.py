"""What has become of a file's rows so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.services.bulk_writes import Outcome, Verdict
from gateway.services.import_batches import Batch, RowFault
from gateway.services.import_records import MAX_LISTED_ERRORS
from shared.features import CUST_ID


class StoredBatch(NamedTuple):
    """What became of a batch's rows, and all its faults in the order of their lines."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    pending: int
    faults: Sequence[RowFault]


def stored_batch(batch: Batch, outcomes: Mapping[str, Outcome]) -> StoredBatch:
    """Return what became of a batch, from what became of its customers."""
    verdicts = Counter([outcome.verdict for outcome in outcomes.values()])
    faults = batch.faults
    if verdicts[Verdict.EXISTS]:
        exist = [
            RowFault(line=line, column=CUST_ID, detail="exists already")
            for (cust_id, _), line in zip(batch.customers, batch.lines, strict=True)
            if outcomes[cust_id].verdict is Verdict.EXISTS
        ]
        faults = sorted([*faults, *exist], key=lambda fault: fault["line"])
    return StoredBatch(
        created=verdicts[Verdict.CREATED],
        updated=verdicts[Verdict.UPDATED],
        unchanged=verdicts[Verdict.UNCHANGED],
        rejected=batch.rejected + verdicts[Verdict.EXISTS],
        pending=sum([o.pending and o.verdict is not Verdict.UNCHANGED for o in outcomes.values()]),
        faults=faults,
    )


@dataclass(slots=True)
class Tally:
    """Sums over batches, which are added in the order of the file."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    pending: int = 0
    faults: int = 0
    errors: list[RowFault] = field(default_factory=list)

    def add(self, batch: StoredBatch) -> None:
        """Count a batch."""
        self.created += batch.created
        self.updated += batch.updated
        self.unchanged += batch.unchanged
        self.rejected += batch.rejected
        self.pending += batch.pending
        self.faults += len(batch.faults)
        self.errors.extend(batch.faults[: MAX_LISTED_ERRORS - len(self.errors)])

    def counts(self) -> dict[str, Any]:
        """Return the members of an import's record that say it."""
        own = {name: getattr(self, name) for name in self.__slots__}
        rows = self.created + self.updated + self.unchanged + self.rejected
        return {**own, "rows": rows, "errors": list(self.errors)}
