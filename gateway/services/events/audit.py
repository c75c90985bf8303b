"""The audit trail: who changed what, when, and from where. A view of the change log, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict, get_args

from gateway.services.events.change import Actor, Cause, ChangeType, Logged, Subject
from gateway.services.events.log import AuditFilters, ChangeLog, Outboxes
from gateway.services.pages import Page

FORMER_NAMES: Final[Mapping[str, ChangeType]] = {
    "customer.replaced": "customer.updated",
    "customer.patched": "customer.updated",
    "import.ended": "import.completed",
    "segment.labelled": "segment.relabelled",
}
"""Names that actions had before there was the change log, and those that they have now."""

ACTIONS: Final[tuple[str, ...]] = (*get_args(ChangeType), *FORMER_NAMES)
"""What can be asked for; former names are synonyms."""


class AuditEntry(TypedDict):
    """One change.

    ``before`` and ``after`` are the revisions of a customer, or the versions of the model that were active; null where
    there is none. ``by`` is whom the caller named as the person behind it. ``address`` is the network address that the
    request came from. ``erased`` says that the customer has been erased since. ``cause`` says why data or segment of a
    customer changed, ``fields`` which features did. ``data`` has further details: the reason of an
    activation, the counts of an import, or an ``outcome`` where something else came of it than the action says.
    """

    id: str
    at: datetime
    actor: Actor
    action: ChangeType
    subject: Subject
    before: str | None
    after: str | None
    by: str | None
    request_id: str | None
    address: str | None
    erased: bool
    cause: Cause | None
    fields: Sequence[str]
    data: Mapping[str, Any]


class ErasableChanges:
    """The entries about customers, whether it is in the log or still waits for it."""

    name = "audit"

    def __init__(self, outboxes: Outboxes, log: ChangeLog) -> None:
        self._outboxes = outboxes
        self._log = log

    def erase(self, cust_id: str) -> int:
        """Remove a customer's id and former values; return how many entries there were. All else of them stays.

        Raises
        ------
        StoreError
        """
        return self._outboxes.erase(cust_id) + self._log.erase(cust_id)  # in the direction in which they are moved


class AuditService:
    """Reads the audit trail."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log

    def page(self, filters: AuditFilters, before: int | None, limit: int) -> Page[AuditEntry, int]:
        """Return up to `limit` entries, newest first, with positions lower than `before`.

        Raises
        ------
        StoreError
        """
        found = self._log.newest_first(filters, before, limit + 1)
        return Page.of(found, limit, lambda entry: entry["position"], _shown)


def _shown(entry: Logged) -> AuditEntry:
    return AuditEntry(
        id=entry.get("id") or str(entry["position"]),
        at=entry["at"],
        actor=entry["actor"],
        action=entry["type"],
        subject=entry["subject"],
        before=entry["before"],
        after=entry["after"],
        by=entry["by"],
        request_id=entry["request_id"],
        address=entry["address"],
        erased=entry.get("erased", False),
        cause=entry["cause"],
        fields=entry.get("fields", []),
        data=entry.get("data", {}),
    )
