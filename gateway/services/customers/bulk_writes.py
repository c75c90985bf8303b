"""Writing many customers at once, as imports and batches do: a few round trips for all of them, none for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from enum import StrEnum
from operator import add
from typing import Literal, NamedTuple

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import (
    Assignment,
    Features,
    Placement,
    StoredCustomer,
    Update,
    changed_customer,
    new_customers,
    same_features,
)
from gateway.services.customers.customers import make_room
from gateway.services.customers.store import MAX_ATTEMPTS, BulkStore
from gateway.services.errors import Contended
from gateway.services.events.change import Cause, Origin
from gateway.services.events.log import Outboxes
from shared.features import CUST_ID


class Mode(StrEnum):
    """What becomes of a customer that is stored already: with `INSERT` it stays as it is."""

    UPSERT = "upsert"
    INSERT = "insert"


class Verdict(StrEnum):
    """What became of one customer; the last four were not written."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    EXISTS = "exists"
    """There is one already, and only new ones were wanted."""
    STALE = "stale"
    """It does not have the revision that the caller named."""
    ABSENT = "absent"
    """It is not there, and the caller named a revision."""
    REVISION_REQUIRED = "revision_required"
    """It would change, and the caller did not name the revision that it replaces, which is required."""


RowStatus = Literal["created", "updated", "unchanged", "rejected"]


class Outcome(NamedTuple):
    """What became of one customer; a tuple, as an import makes one of each row.

    Attributes
    ----------
    revision : the stored customer's, after this; None where nothing was written and nothing is known.
    before : the revision that was replaced.
    pending : whether the stored customer has no segment yet.
    moved : the ids of the segment it was in and of the one it is in now, if they differ; None for one not known yet.
    """

    verdict: Verdict
    revision: str | None = None
    before: str | None = None
    pending: bool = False
    moved: tuple[str, str | None] | None = None

    @property
    def status(self) -> RowStatus:
        """What became of the row that the customer came in."""
        written = self.verdict in (Verdict.CREATED, Verdict.UPDATED, Verdict.UNCHANGED)
        return self.verdict.value if written else "rejected"  # type: ignore[return-value]  # those three are among them


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of the rows of a batch or a file.

    Attributes
    ----------
    pending : those of the created and updated ones that have no segment yet.
    faults : single faults of the rejected ones, of which one row can have several.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    pending: int = 0
    faults: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return self.created + self.updated + self.unchanged + self.rejected

    def members(self) -> dict[str, int]:
        """Return all of it by name."""
        return {"rows": self.rows, **asdict(self)}

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(*map(add, astuple(self), astuple(other)))


def count(outcomes: Collection[Outcome]) -> RowCounts:
    """Count what became of customers."""
    found = Counter([outcome.verdict for outcome in outcomes])
    written = found[Verdict.CREATED], found[Verdict.UPDATED], found[Verdict.UNCHANGED]
    pending = sum([o.pending and o.verdict is not Verdict.UNCHANGED for o in outcomes])
    return RowCounts(*written, rejected=len(outcomes) - sum(written), pending=pending)


def _created(new: StoredCustomer) -> Outcome:
    return Outcome(Verdict.CREATED, new["revision"], None, new["segment"] is None)


def _updated(update: Update) -> Outcome:
    was, now_in = update.old["segment"], _id(update.members["segment"])
    moved = (was["id"], now_in) if was and was["id"] != now_in else None
    return Outcome(Verdict.UPDATED, update.members["revision"], update.old["revision"], now_in is None, moved)


def _id(segment: Assignment | None) -> str | None:
    return segment and segment["id"]


_EXISTS, _STALE = Outcome(Verdict.EXISTS), Outcome(Verdict.STALE)
_ABSENT, _REVISION_REQUIRED = Outcome(Verdict.ABSENT), Outcome(Verdict.REVISION_REQUIRED)
_NONE: Mapping[str, str] = {}


class DryRunStore:
    """Says what would become of writes to a store, and makes none."""

    def __init__(self, store: BulkStore) -> None:
        self._store = store

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, StoredCustomer]:
        """Return those of the customers that exist, by CUST_ID."""
        return self._store.get_many(cust_ids)

    def insert_many(self, customers: Sequence[StoredCustomer]) -> set[str]:
        """Return the CUST_IDs that are taken."""
        return set(self._store.get_many([customer[CUST_ID] for customer in customers]))

    def update_many(self, updates: Sequence[Update]) -> set[str]:  # noqa: ARG002  # as the port has it
        """Return nothing: the revisions have just been read."""
        return set()


class BulkWriter:
    """Stores customers with their segments, which one columnar call brings; without a model they are pending.

    It keeps nothing between calls, so threads may share one. Each customer that is written has its entry for the change
    log in it; of an import only those that move.

    Parameters
    ----------
    origin : says where the change that is being made comes from.
    outboxes : where entries wait that are too many for a customer; None where nothing is written.
    cause : why customers are written.
    require_revision : whether a stored customer changes only where the caller names the revision that it replaces.
    deadline : seconds to wait for the segments; None for as long as bulk work may.
    """

    def __init__(
        self,
        store: BulkStore,
        assigner: Assigner,
        origin: Callable[[], Origin],
        outboxes: Outboxes | None = None,
        *,
        cause: Cause = "customer_data",
        require_revision: bool = False,
        deadline: float | None = None,
    ) -> None:
        self._store = store
        self._assigner = assigner
        self._origin = origin
        self._outboxes = outboxes
        self._cause: Cause = cause
        self._require_revision = require_revision
        self._deadline = deadline

    def write(
        self,
        wanted: Mapping[str, Features],
        mode: Mode = Mode.UPSERT,
        expected: Mapping[str, str] = _NONE,
        *,
        likely_new: bool = False,
    ) -> dict[str, Outcome]:
        """Store the customers, given by CUST_ID; return what became of each of them, in no particular order.

        Parameters
        ----------
        wanted : features in stored form (`shared.features.complete`).
        expected : the revision that a customer must have, for those where the caller names one.
        likely_new : nearly all of them are not stored yet, so that it is cheaper to store than to look first.

        Raises
        ------
        StoreError, Contended
            some may have been written then; the same call again finishes the rest.
        """
        outcomes: dict[str, Outcome] = {}
        if mode is Mode.INSERT:
            exist = self._create(wanted, self._segments(wanted), outcomes)
            return outcomes | dict.fromkeys(exist, _EXISTS)
        if likely_new and not expected:
            taken = self._create(wanted, self._segments(wanted), outcomes)
            wanted = {cust_id: wanted[cust_id] for cust_id in taken}
        for _ in range(MAX_ATTEMPTS):
            if not wanted:
                return outcomes
            missed = self._upsert(wanted, expected, outcomes)
            wanted = {cust_id: wanted[cust_id] for cust_id in missed}
        raise Contended(min(wanted))

    def _upsert(
        self, wanted: Mapping[str, Features], expected: Mapping[str, str], outcomes: dict[str, Outcome]
    ) -> set[str]:
        """Insert the new and replace the changed; return the ids of those that somebody else wrote meanwhile."""
        stored = self._store.get_many(list(wanted))
        if not stored and not expected:  # the usual case of an import, and the one where time matters
            return self._create(wanted, self._segments(wanted), outcomes)
        changed: dict[str, Features] = {}
        for cust_id, features in wanted.items():
            if outcome := self._settled(stored.get(cust_id), features, expected.get(cust_id)):
                outcomes[cust_id] = outcome
            else:
                changed[cust_id] = features
        segments = self._segments(changed)
        missed = self._create({i: f for i, f in changed.items() if i not in stored}, segments, outcomes)
        return missed | self._change({i: f for i, f in changed.items() if i in stored}, stored, segments, outcomes)

    def _settled(self, old: StoredCustomer | None, features: Features, expected: str | None) -> Outcome | None:
        """Return what becomes of a customer that need not, or must not, be written."""
        if old is None:
            return None if expected is None else _ABSENT
        if expected is not None and old["revision"] != expected:
            return _STALE
        if same_features(old, features):
            return Outcome(Verdict.UNCHANGED, old["revision"], old["revision"], old["segment"] is None)
        return _REVISION_REQUIRED if self._require_revision and expected is None else None

    def _create(
        self,
        wanted: Mapping[str, Features],
        segments: Mapping[str, Placement | None],
        outcomes: dict[str, Outcome],
    ) -> set[str]:
        """Store new customers; return the ids that are taken."""
        if not wanted:
            return set()
        new = new_customers(wanted, segments, self._origin(), self._cause)
        taken = self._store.insert_many(new)
        outcomes |= {customer[CUST_ID]: _created(customer) for customer in new if customer[CUST_ID] not in taken}
        return taken

    def _change(
        self,
        wanted: Mapping[str, Features],
        stored: Mapping[str, StoredCustomer],
        segments: Mapping[str, Placement | None],
        outcomes: dict[str, Outcome],
    ) -> set[str]:
        """Change stored customers; return the ids of those that have changed meanwhile."""
        if not wanted:
            return set()
        if self._outboxes is not None:
            for cust_id in wanted:
                make_room(self._outboxes, stored[cust_id])
        origin = self._origin()
        updates = [changed_customer(stored[i], f, segments[i], origin, self._cause) for i, f in wanted.items()]
        missed = self._store.update_many(updates)
        outcomes |= {u.old["CUST_ID"]: _updated(u) for u in updates if u.old["CUST_ID"] not in missed}
        return missed

    def _segments(self, wanted: Mapping[str, Features]) -> Mapping[str, Placement | None]:
        segments = self._assigner.assign_columns(list(wanted.values()), self._deadline) if wanted else []
        return dict.fromkeys(wanted) if segments is None else dict(zip(wanted, segments, strict=True))
