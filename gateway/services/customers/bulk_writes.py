"""Writing many customers at once, as imports and batches do: a few round trips for all of them, none for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, astuple, dataclass
from enum import StrEnum
from operator import add
from typing import Literal, NamedTuple, Protocol

from gateway.services.audit import Action, Announced, Auditor, Change
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import (
    Assignment,
    Customer,
    Features,
    changed_customer,
    new_customers,
    same_features,
)
from gateway.services.errors import Contended
from shared.features import CUST_ID

MAX_ATTEMPTS = 20
"""How often a write starts over for customers that others keep changing meanwhile."""


class Mode(StrEnum):
    """What becomes of a customer that is stored already: with `INSERT` it stays as it is."""

    UPSERT = "upsert"
    INSERT = "insert"


class Verdict(StrEnum):
    """What became of one customer; the last three were not written."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    EXISTS = "exists"
    """There is one already, and only new ones were wanted."""
    STALE = "stale"
    """It does not have the revision that the caller knows."""
    UNGUARDED = "unguarded"
    """It would change, and the caller had to say which revision of it is known, but did not."""


RowStatus = Literal["created", "updated", "unchanged", "rejected"]


class Outcome(NamedTuple):
    """What became of one customer; a tuple, as an import makes one of each row.

    Attributes
    ----------
    revision : the stored customer's, after this; None where nothing was written and nothing is known.
    before : the revision that was replaced.
    pending : whether the stored customer has no segment yet.
    """

    verdict: Verdict
    revision: str | None = None
    before: str | None = None
    pending: bool = False

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


_EXISTS, _STALE, _UNGUARDED = Outcome(Verdict.EXISTS), Outcome(Verdict.STALE), Outcome(Verdict.UNGUARDED)
_NONE: Mapping[str, str] = {}


class BulkStore(Protocol):
    """What writing many customers at once needs of a `CustomerStore`."""

    def get_many(self, cust_ids: Sequence[str]) -> dict[str, Customer]:
        """Return those of the customers that exist, by CUST_ID."""

    def insert_many(self, customers: Sequence[Customer]) -> set[str]:
        """Store new customers; return the CUST_IDs that were taken and so not stored."""

    def replace_many(self, customers: Sequence[tuple[Customer, str]]) -> set[str]:
        """Replace (customer, expected revision) pairs; return the CUST_IDs whose revision did not match."""


class BulkWriter:
    """Stores customers with their segments, which one columnar call brings; without a model they are pending.

    It keeps nothing between calls, so threads may share one.

    Parameters
    ----------
    must_know : whether a stored customer changes only where the caller knows its revision.
    deadline : seconds to wait for the segments; None for as long as bulk work may.
    auditor : writes down each change; None where the whole is audited, as an import is.
    """

    def __init__(
        self,
        store: BulkStore,
        assigner: Assigner,
        *,
        must_know: bool = False,
        deadline: float | None = None,
        auditor: Auditor | None = None,
    ) -> None:
        self._store = store
        self._assigner = assigner
        self._must_know = must_know
        self._deadline = deadline
        self._auditor = auditor

    def write(
        self,
        wanted: Mapping[str, Features],
        mode: Mode = Mode.UPSERT,
        known: Mapping[str, str] = _NONE,
        *,
        likely_new: bool = False,
    ) -> dict[str, Outcome]:
        """Store the customers, given by CUST_ID; return what became of each of them, in no particular order.

        Parameters
        ----------
        wanted : features in stored form (`shared.features.complete`).
        known : the revision that a customer must have, for those where the caller says so.
        likely_new : nearly all of them are not stored yet, so that it is cheaper to store than to look first.

        Raises
        ------
        StoreError, Contended
            some may have been written then; the same call again finishes the rest.
        """
        outcomes: dict[str, Outcome] = {}
        if likely_new and wanted and mode is Mode.UPSERT and not known:
            taken = self._create(wanted, self._segments(wanted), outcomes)
            wanted = {cust_id: wanted[cust_id] for cust_id in taken}
        attempt = self._insert if mode is Mode.INSERT else self._upsert
        for _ in range(MAX_ATTEMPTS):
            if not wanted:
                return outcomes
            wanted = attempt(wanted, known, outcomes)
        raise Contended(min(wanted))

    def _insert(
        self, wanted: Mapping[str, Features], _: Mapping[str, str], outcomes: dict[str, Outcome]
    ) -> dict[str, Features]:
        """Store the new ones; the others exist."""
        outcomes |= dict.fromkeys(self._create(wanted, self._segments(wanted), outcomes), _EXISTS)
        return {}

    def _upsert(
        self, wanted: Mapping[str, Features], known: Mapping[str, str], outcomes: dict[str, Outcome]
    ) -> dict[str, Features]:
        """Insert the new and replace the changed; return those that somebody else wrote meanwhile."""
        stored = self._store.get_many(list(wanted))
        if not stored and not known:  # the usual case of an import, and the one where time matters
            missed = self._create(wanted, self._segments(wanted), outcomes)
            return {cust_id: wanted[cust_id] for cust_id in missed}
        changed: dict[str, Features] = {}
        for cust_id, features in wanted.items():
            if outcome := self._settled(stored.get(cust_id), features, known.get(cust_id)):
                outcomes[cust_id] = outcome
            else:
                changed[cust_id] = features
        segments = self._segments(changed)
        missed = self._create({i: f for i, f in changed.items() if i not in stored}, segments, outcomes)
        missed |= self._change({i: f for i, f in changed.items() if i in stored}, stored, segments, outcomes)
        return {cust_id: wanted[cust_id] for cust_id in missed}

    def _settled(self, old: Customer | None, features: Features, known: str | None) -> Outcome | None:
        """Return what becomes of a customer that need not, or must not, be written."""
        if known is not None and (old is None or old["revision"] != known):
            return _STALE
        if old is None:
            return None
        if same_features(old, features):
            return Outcome(Verdict.UNCHANGED, old["revision"], old["revision"], old["segment"] is None)
        return _UNGUARDED if self._must_know and known is None else None

    def _create(
        self,
        wanted: Mapping[str, Features],
        segments: Mapping[str, Assignment | None],
        outcomes: dict[str, Outcome],
    ) -> set[str]:
        """Store new customers; return the ids that are taken."""
        new = new_customers(wanted, segments)
        written = [(customer, None) for customer in new]
        with self._announced("customer.created", written) as announced:
            taken = self._store.insert_many(new) if new else set()
            announced.refused(taken)
        _note(outcomes, Verdict.CREATED, written, taken)
        return taken

    def _change(
        self,
        wanted: Mapping[str, Features],
        stored: Mapping[str, Customer],
        segments: Mapping[str, Assignment | None],
        outcomes: dict[str, Outcome],
    ) -> set[str]:
        """Replace stored customers; return the ids of those that have changed meanwhile."""
        old = [(changed_customer(stored[i], f, segments[i]), str(stored[i]["revision"])) for i, f in wanted.items()]
        with self._announced("customer.replaced", old) as announced:
            missed = self._store.replace_many(old) if old else set()
            announced.refused(missed)
        _note(outcomes, Verdict.UPDATED, old, missed)
        return missed

    def _announced(
        self, action: Action, written: Sequence[tuple[Customer, str | None]]
    ) -> AbstractContextManager[Announced]:
        if self._auditor is None:
            return nullcontext(Announced([]))
        return self._auditor.change(
            *(Change(action, "customer", c[CUST_ID], before, c["revision"]) for c, before in written)
        )

    def _segments(self, wanted: Mapping[str, Features]) -> Mapping[str, Assignment | None]:
        segments = self._assigner.assign_columns(list(wanted.values()), self._deadline) if wanted else []
        return dict.fromkeys(wanted) if segments is None else dict(zip(wanted, segments, strict=True))


def _note(
    outcomes: dict[str, Outcome],
    verdict: Verdict,
    written: Sequence[tuple[Customer, str | None]],
    missed: set[str],
) -> None:
    outcomes |= {
        customer[CUST_ID]: Outcome(verdict, customer["revision"], before, customer["segment"] is None)
        for customer, before in written
        if customer[CUST_ID] not in missed
    }
