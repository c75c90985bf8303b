"""How it was, from the fakes of customers and of the change log; `contracts.as_of` compares it with that on MongoDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.services.errors import StoreError
from gateway.services.events.as_of import Past, PastAssignment
from gateway.services.events.change import Entry


class InMemoryPastSegments:
    """Goes over everything. Set `failure` to make every call raise it."""

    def __init__(self, customers: Any, deleted: Any, log: Any, outboxes: Any) -> None:
        self._customers = customers
        self._deleted = deleted
        self._log = log
        self._outboxes = outboxes
        self.failure: StoreError | None = None

    def of_customer(self, cust_id: str, at: datetime) -> Past | None:
        self._use()
        stored = self._customers.customers.get(cust_id)
        segment = stored and stored["segment"]
        if segment and segment.get("since", at) <= at:
            known = None
            if segment["assigned_at"] <= at:
                known = PastAssignment(*(segment[n] for n in ("confidence", "rival", "model_version", "assigned_at")))
            return Past(segment["id"], segment.get("since"), known)
        mine = [entry for entry in self._entries() if entry["subject"]["id"] == cust_id]
        for entry in mine:
            if _left_after(entry, at):
                return Past(entry["segment"]["from"], entry["segment"]["from_since"])
        return Past(None) if self._existed(cust_id, at, mine) else None

    def members(self, segment_id: str, at: datetime, after: str | None, limit: int) -> list[str]:
        self._use()
        stored = [c for c in self._customers.customers.values() if _is_in(c, at) == segment_id]
        left = [e for e in self._entries() if _left_after(e, at) and e["segment"]["from"] == segment_id]
        ids = {c["CUST_ID"] for c in stored} | {e["subject"]["id"] for e in left if e["subject"]["id"] is not None}
        return sorted(cust_id for cust_id in ids if after is None or cust_id > after)[:limit]

    def sizes(self, at: datetime) -> Mapping[str, int]:
        self._use()
        here = [segment for c in self._customers.customers.values() if (segment := _is_in(c, at)) is not None]
        left = [e for kind in ("customer", "erasure") for e in self._entries(kind) if _left_after(e, at)]
        return Counter(here + [str(e["segment"]["from"]) for e in left])

    def _existed(self, cust_id: str, at: datetime, mine: list[Entry]) -> bool:
        """Replay the customer's lives: it is there from its creation, told or not, to its deletion."""
        kept = [d[cust_id] for d in (self._customers.customers, self._deleted.copies) if cust_id in d]
        there = False
        firsts: dict[datetime, str] = {c["created_at"]: "" for c in kept}
        for entry in sorted(mine, key=lambda entry: entry["at"], reverse=True):
            firsts[entry["created_at"]] = entry["type"]
        moments = [(created_at, first != "customer.restored") for created_at, first in firsts.items()]
        moments += [(entry["at"], entry["type"] != "customer.deleted") for entry in mine]
        moments += [(c["deleted_at"], False) for c in kept if "deleted_at" in c]
        for moment, exists in sorted(moments):
            there = exists if moment <= at else there
        return there

    def _entries(self, about: str = "customer") -> list[Entry]:
        waiting = [
            {"subject": {"type": "customer", "id": c["CUST_ID"]}, "created_at": c["created_at"], **entry}
            for c in (*self._deleted.copies.values(), *self._customers.customers.values())
            for entry in c.get("outbox", ())
        ]
        found: list[Any] = [*self._log.entries.values(), *self._outboxes.entries(), *waiting]
        return [entry for entry in found if entry["subject"]["type"] == about]

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def _is_in(customer: Mapping[str, Any], at: datetime) -> str | None:
    segment = customer["segment"]
    return segment["id"] if segment and segment.get("since", at) <= at else None


def _left_after(entry: Entry, at: datetime) -> bool:
    move = entry.get("segment")
    return bool(move and move["from"] and move["from_since"] and move["from_since"] <= at < entry["at"])
