"""Making the stored customers equal to a file: whoever is missing in it is deleted, restorably, not by mistake."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from gateway.services.customers.bulk_writes import RowCounts
from gateway.services.customers.deletions import DELETED_AT_ONCE, DeletionService
from gateway.services.customers.query import Condition, Op
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import MirrorRefused
from gateway.services.events.change import Origin
from gateway.services.imports.records import MirrorOutcome, Progress
from gateway.services.imports.source import Batch
from shared.customer_files.repeated_ids import RepeatedIds
from shared.features import CUST_ID
from shared.typography import number

MOST_UNCONFIRMED: Final = 0.05
"""Share of the stored customers that may be missing without a confirmation."""
MOST_REFUSED: Final = 0.01
"""Share of a file's rows that may have been refused: with more of them something is wrong with the file."""
_ROWS = 10_000


class Mirror:
    """Deletes the customers that a file does not have, once all of it has been read.

    A refused row keeps its customer. Whoever has been written since the import began stays as well: nobody can tell
    whether the file is older.

    Parameters
    ----------
    began : when the import did.
    confirmed : how many the caller expects to be missing; None where it was not said.

    Attributes
    ----------
    cut : whether the file may have been cut within its last line.
    deleted : how many were deleted so far; in a dry run, how many would be.
    outcome : how many are missing; None until that is known.
    """

    def __init__(
        self,
        store: CustomerStore,
        deletions: DeletionService,
        origin: Origin,
        began: datetime,
        confirmed: int | None,
        *,
        dry_run: bool,
    ) -> None:
        self._store = store
        self._deletions = deletions
        self._origin = origin
        self._began = began
        self._confirmed = confirmed
        self._dry_run = dry_run
        self._in_file = RepeatedIds()
        self._nameless = 0
        self.cut = False
        self.deleted = 0
        self.outcome: MirrorOutcome | None = None

    def note(self, batch: Batch) -> None:
        """Remember whose rows a batch has."""
        ids = [cust_id for cust_id, _ in batch.customers] + list(batch.refused_ids)
        self._in_file.note(ids, [0] * len(ids))
        self._nameless += batch.rejected - len(batch.refused_ids)

    def members(self) -> Progress:
        """Return the members of an import's record that say what has become of the missing customers."""
        return {"deleted": self.deleted, "mirror": self.outcome}

    def carry_out(self, counts: RowCounts, stopped: Callable[[], bool]) -> None:
        """Delete who is missing, in parts, until all are or `stopped` says so.

        Parameters
        ----------
        counts : what became of the rows of the file.

        Raises
        ------
        MirrorRefused
            where that might be a mistake: nobody is deleted. Not in a dry run, whose `outcome` says so.
        StoreError
            some may have been deleted then.
        """
        stored, missing = self._look()
        many = missing > MOST_UNCONFIRMED * stored
        needed = many or (self.cut and missing > 0)
        fault = self._fault(counts) if missing else None
        unconfirmed = None if fault else self._unconfirmed(stored, missing, needed, many=many)
        reason = fault or unconfirmed
        self.outcome = MirrorOutcome(stored=stored, missing=missing, confirmation_needed=needed, refused=reason)
        if self._dry_run:
            self.deleted = 0 if reason else missing
        elif reason:
            raise MirrorRefused(reason, missing if unconfirmed else None, counts.rows - counts.rejected)
        else:
            self._delete(missing, stopped)

    def _unconfirmed(self, stored: int, missing: int, needed: bool, *, many: bool) -> str | None:
        """Return why nobody is deleted without another confirmation; a dry run is what tells the number."""
        if self._confirmed == missing or (self._confirmed is None and (self._dry_run or not needed)):
            return None
        unsure = "more than 5%" if many else "whose last line has no line end, as if it were cut"
        said = unsure if self._confirmed is None else f"not {number(self._confirmed)}"
        return f"{number(missing)} of {number(stored)} stored customers are missing in the file, {said}"

    def _fault(self, counts: RowCounts) -> str | None:
        """Return why the file cannot be taken for a list of all customers."""
        if counts.rows == counts.rejected:
            return "the file has no faultless row"
        if self._nameless:
            rows = "1 row has" if self._nameless == 1 else f"{number(self._nameless)} rows have"
            return f"{rows} no readable CUST_ID, so that nobody knows whose data these are"
        if counts.rejected > MOST_REFUSED * counts.rows:
            return f"more than 1% of the rows were refused ({number(counts.rejected)} of {number(counts.rows)})"
        return None

    def _look(self) -> tuple[int, int]:
        """Return how many customers were stored when the import began, and how many of them the file does not have."""
        stored = missing = 0
        for rows in self._store.rows((), (CUST_ID, "created_at", "updated_at"), _ROWS):
            known = self._in_file.known([row[0] for row in rows])
            stored += sum(row[1] < self._began for row in rows)
            missing += sum(row[2] < self._began and not here for row, here in zip(rows, known, strict=True))
        return stored, missing

    def _delete(self, most: int, stopped: Callable[[], bool]) -> None:
        unchanged = (Condition("updated_at", Op.LT, self._began),)
        for rows in self._store.rows(unchanged, (CUST_ID,), _ROWS):
            ids = [row[0] for row in rows]
            gone = [cust_id for cust_id, here in zip(ids, self._in_file.known(ids), strict=True) if not here]
            for first in range(0, len(gone), DELETED_AT_ONCE):
                some = gone[first : first + DELETED_AT_ONCE][: most - self.deleted]
                if not some or stopped():
                    return
                self.deleted += self._deletions.delete_listed(some, unchanged, self._origin, limited=False)
