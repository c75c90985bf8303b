"""Loading many customers: validated batches in, a receipt out. Bad rows never stop good ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from gateway.services.assignment import Assigner
from gateway.services.customers import changed_customer, new_customer, same_features
from gateway.services.errors import Contended, SegmentationError
from gateway.services.ports import Assignment, Customer, CustomerStore, Features
from shared.features import CUST_ID

MAX_LISTED_ERRORS = 100
"""How many refused rows a receipt lists; all of them are counted."""
MAX_ATTEMPTS = 20
"""How often a batch starts over for customers that others keep changing meanwhile."""


class RowFault(TypedDict):
    """Why one row of a file was refused: its line (1-based, the header is line 1), the column and the reason."""

    line: int
    column: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file after validation.

    Attributes
    ----------
    customers : (CUST_ID, features in stored form) of the faultless rows.
    faults : what was wrong with the others.
    rejected : how many rows were refused; one row can have several faults.
    """

    customers: Sequence[tuple[str, Features]]
    faults: Sequence[RowFault]
    rejected: int


@dataclass(slots=True)
class Receipt:
    """What became of a file's rows; ``rows`` is the sum of the other four counts."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    pending: int = 0
    ignored_columns: list[str] = field(default_factory=list)
    errors: list[RowFault] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All rows seen."""
        return self.created + self.updated + self.unchanged + self.rejected

    def note_faults(self, batch: Batch) -> None:
        """Count a batch's refused rows and list the first of them."""
        self.rejected += batch.rejected
        self.errors.extend(batch.faults[: MAX_LISTED_ERRORS - len(self.errors)])


class Interrupted(SegmentationError):
    """The import stopped midway; `receipt` tells what was stored. Sending the file again finishes it."""

    def __init__(self, receipt: Receipt, cause: SegmentationError) -> None:
        super().__init__(f"stopped after {receipt.rows} rows: {cause}")
        self.receipt = receipt


def _without_repeats(customers: Sequence[tuple[str, Features]]) -> Iterator[dict[str, Features]]:
    """Cut the rows before each repeated CUST_ID, so that a later row of a customer is written after the earlier."""
    run: dict[str, Features] = {}
    for cust_id, features in customers:
        if cust_id in run:
            yield run
            run = {}
        run[cust_id] = features
    yield run


class ImportService:
    """Writes customers in batches; the same file twice changes nothing the second time."""

    def __init__(self, store: CustomerStore, assigner: Assigner) -> None:
        self._store = store
        self._assigner = assigner

    def run(
        self, batches: Iterable[Batch], receipt: Receipt, progress: Callable[[Receipt], None] = lambda _: None
    ) -> Receipt:
        """Store every faultless row, update those that differ, and count all into `receipt`.

        Raises
        ------
        Interrupted
            when the database fails; what was stored before stays stored.
        """
        for batch in batches:
            receipt.note_faults(batch)
            try:
                for wanted in _without_repeats(batch.customers):
                    self._upsert(wanted, receipt)
            except SegmentationError as error:
                raise Interrupted(receipt, error) from error
            progress(receipt)
        return receipt

    def _upsert(self, wanted: dict[str, Features], receipt: Receipt) -> None:
        for _ in range(MAX_ATTEMPTS):
            if not wanted:
                return
            stored = self._store.get_many(list(wanted))
            changed = {i: f for i, f in wanted.items() if i not in stored or not same_features(stored[i], f)}
            receipt.unchanged += len(wanted) - len(changed)
            wanted = self._write(changed, stored, receipt)
        raise Contended(min(wanted))

    def _write(self, wanted: dict[str, Features], stored: dict[str, Customer], receipt: Receipt) -> dict[str, Features]:
        """Insert the new and replace the changed; return those that somebody else wrote meanwhile."""
        segments = self._segments(list(wanted.values()))
        new, old = [], []
        for (cust_id, features), segment in zip(wanted.items(), segments, strict=True):
            if before := stored.get(cust_id):
                old.append((changed_customer(before, features, segment), before["revision"]))
            else:
                new.append(new_customer(cust_id, features, segment))
        again = self._store.insert_many(new) if new else set()
        receipt.created += len(new) - len(again)
        missed = self._store.replace_many(old) if old else set()
        receipt.updated += len(old) - len(missed)
        again |= missed
        written = [*new, *(customer for customer, _ in old)]
        receipt.pending += sum(c["segment"] is None and c[CUST_ID] not in again for c in written)
        return {cust_id: wanted[cust_id] for cust_id in again}

    def _segments(self, rows: list[Features]) -> Sequence[Assignment | None]:
        if not rows:
            return []
        return self._assigner.assign_columns(rows) or [None] * len(rows)
