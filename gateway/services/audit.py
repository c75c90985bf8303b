"""Who changed what, when, and from where: written down before it happens, so that no change goes unaudited.

Single changes and the rows of a batch have an entry each; an import has one at its start and one at its end. What the
worker does (segments by the active model, erasures carried on) is nobody's decision and is not audited.

An entry that was written but whose change did not come about is taken back. It stays only where nobody can know: the
process died, or the database or the model service gave no clear answer. Such an entry says what was about to happen;
whether it did, the subject itself tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol, TypedDict

Action = Literal[
    "customer.created",
    "customer.replaced",
    "customer.patched",
    "customer.deleted",
    "customer.restored",
    "customer.erased",
    "customer.rescored",
    "import.started",
    "import.ended",
    "segment.labelled",
    "model.activated",
    "model.rolled_back",
    "training.started",
    "training.cancelled",
    "api_key.created",
    "api_key.rotated",
    "api_key.revoked",
]

SubjectType = Literal["customer", "erasure", "import", "segment", "model", "training", "api_key"]


class Actor(TypedDict):
    """Who did it: the kind of caller (`gateway.services.access.Principal`), its id, and what people called it then."""

    kind: str
    id: str
    name: str


class Subject(TypedDict):
    """What was changed. ``id`` is null for an erased customer, and where it was to be given by a change that failed."""

    type: SubjectType
    id: str | None


class AuditEntry(TypedDict):
    """One change.

    ``before`` and ``after`` are the revisions of a customer, or the versions of the model that were active; null where
    there is none. ``by`` is whom the caller named as the person behind it. ``address`` is the network address that the
    request came from. ``erased`` says that the customer has been erased since.
    """

    id: str
    at: datetime
    actor: Actor
    action: Action
    subject: Subject
    before: str | None
    after: str | None
    by: str | None
    request_id: str | None
    address: str | None
    erased: bool


def id_since(moment: datetime) -> str:
    """Return what the ids of entries made at `moment` (UTC) begin with; later ones are greater, as text."""
    return f"{max((moment - _EPOCH) // timedelta(microseconds=1), 0):015x}"


_EPOCH = datetime(1970, 1, 1)


class AuditFilters(NamedTuple):
    """Which entries are asked for; None where it does not matter. ``since`` is inclusive, ``until`` is not."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditTrail(Protocol):
    """Entries, kept durably for as long as they are wanted. Every method may raise `StoreError`."""

    @property
    def name(self) -> str:
        """What the receipt of an erasure calls it."""

    def term(self) -> object:
        """Return a value that changes when the database elects another primary; asks nobody."""

    def record(self, entries: Sequence[AuditEntry], *, durably: bool) -> None:
        """Write entries down, over those with the same ids.

        Without `durably` they are new, and last only if a durable write to the same database follows in the same term.
        """

    def withdraw(self, ids: Sequence[str]) -> None:
        """Take entries back."""

    def page(self, filters: AuditFilters, before: str | None, limit: int) -> list[AuditEntry]:
        """Return up to `limit` entries, newest first, that are older than the one whose id is `before`."""

    def erase(self, cust_id: str) -> int:
        """Remove the customer's id from its entries; return how many there were. All else of them stays."""


class AuditPage(NamedTuple):
    """One page of entries; `more` says whether older ones follow."""

    items: list[AuditEntry]
    more: bool


class AuditService:
    """Reads the audit trail."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def page(self, filters: AuditFilters, before: str | None, limit: int) -> AuditPage:
        """Return up to `limit` entries, newest first, that are older than the one whose id is `before`.

        Raises
        ------
        StoreError
        """
        found = self._trail.page(filters, before, limit + 1)
        return AuditPage(found[:limit], len(found) > limit)
