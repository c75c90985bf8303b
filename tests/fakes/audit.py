"""The `AuditTrail` port in memory; `contracts.audit` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from gateway.services.audit import Action, AuditEntry, AuditFilters, Auditor, Origin, id_since
from gateway.services.errors import StoreError
from gateway.services.principal import COMMAND_LINE


class InMemoryAuditTrail:
    """Entries in a dict.

    Attributes
    ----------
    entries : by id.
    durable : the ids of those that were written durably.
    failure : raised by every call while it is set.
    primary : what `term` returns.
    """

    name = "audit"

    def __init__(self) -> None:
        self.entries: dict[str, AuditEntry] = {}
        self.durable: set[str] = set()
        self.failure: StoreError | None = None
        self.primary = 1

    @property
    def newest_first(self) -> list[AuditEntry]:
        """All entries."""
        return [self.entries[i] for i in sorted(self.entries, reverse=True)]

    def actions(self) -> list[str]:
        """Return what was done, in order."""
        return [entry["action"] for entry in reversed(self.newest_first)]

    def term(self) -> object:
        return self.primary

    def record(self, entries: Sequence[AuditEntry], *, durably: bool) -> None:
        self._use()
        self.entries |= {entry["id"]: deepcopy(entry) for entry in entries}
        if durably:
            self.durable |= {entry["id"] for entry in entries}

    def add(self, entries: Sequence[AuditEntry]) -> int:
        new = [entry for entry in entries if entry["id"] not in self.entries]
        self.record(new, durably=True)
        return len(new)

    def orders(self, actions: Sequence[Action]) -> list[AuditEntry]:
        self._use()
        return [deepcopy(e) for e in self.entries.values() if e["action"] in actions and e["after"] is None]

    def withdraw(self, ids: Sequence[str]) -> None:
        self._use()
        for entry_id in ids:
            self.entries.pop(entry_id, None)
            self.durable.discard(entry_id)

    def page(self, filters: AuditFilters, before: str | None, limit: int) -> list[AuditEntry]:
        self._use()
        found = [e for e in self.newest_first if _matches(e, filters) and (before is None or e["id"] < before)]
        return deepcopy(found[:limit])

    def erase(self, cust_id: str) -> int:
        self._use()
        found = [e for e in self.entries.values() if e["subject"] == {"type": "customer", "id": cust_id}]
        for entry in found:
            entry["subject"]["id"], entry["erased"] = None, True
        return len(found)

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def _matches(entry: AuditEntry, filters: AuditFilters) -> bool:
    asked = [
        (filters.subject, entry["subject"]["id"]),
        (filters.actor, entry["actor"]["id"]),
        (filters.action, entry["action"]),
    ]
    return (
        all(wanted is None or wanted == value for wanted, value in asked)
        and (filters.since is None or entry["id"] >= id_since(filters.since))
        and (filters.until is None or entry["id"] < id_since(filters.until))
    )


def auditor(trail: InMemoryAuditTrail | None = None) -> Auditor:
    """Return an auditor for services that the command line calls."""
    return Auditor(trail or InMemoryAuditTrail(), lambda: Origin(COMMAND_LINE))
