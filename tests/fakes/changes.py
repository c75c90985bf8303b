"""The change log and the outboxes in memory; `contracts.changes` proves that they behave as those on MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any, cast

from gateway.services.clock import now
from gateway.services.errors import StoreError
from gateway.services.events.change import (
    ERASED_ID_KEPT,
    UNKNOWN,
    ChangeType,
    Entry,
    Logged,
    Origin,
    Subject,
    in_order,
    nameless,
    without_values,
)
from gateway.services.events.log import OWN_CAUSES, OWN_TYPES, AuditFilters, Memory, Waiting
from gateway.services.events.recorder import Recorder
from gateway.services.principal import COMMAND_LINE


class InMemoryChangeLog:
    """Entries in a dict.

    Attributes
    ----------
    entries : by position.
    values : former values by position.
    erased_ids : of erased customers, by position.
    kept : what `memory` returns.
    failure : raised by every call while it is set.
    """

    def __init__(self) -> None:
        self.entries: dict[int, Logged] = {}
        self.values: dict[int, Mapping[str, Any]] = {}
        self.erased_ids: dict[int, str] = {}
        self.kept = Memory(0, now(), datetime.min)
        self.failure: StoreError | None = None
        self._last = 0

    def append(self, entries: Sequence[Entry]) -> None:
        """Give entries the next positions; those whose own id is in the log already are dropped."""
        for entry in entries:
            if "id" in entry and any(entry["id"] == known.get("id") for known in self.entries.values()):
                continue
            self._last += 1
            self.entries[self._last] = cast(Logged, {**deepcopy(without_values(entry)), "position": self._last})
            if entry.get("values"):
                self.values[self._last] = deepcopy(entry["values"])
            if "erased_id" in entry:
                self.erased_ids[self._last] = entry["erased_id"]

    def newest_first(self, filters: AuditFilters, before: int | None, limit: int) -> list[Logged]:
        found = [e for e in self._all() if _matches(e, filters) and (before is None or e["position"] < before)]
        return found[::-1][:limit]

    def after(self, position: int, types: Sequence[ChangeType] | None, limit: int) -> list[Logged]:
        moves = types is not None and "customer.segment_changed" in types
        found = [e for e in self._all() if e["position"] > position]
        for entry in found:
            if entry["position"] in self.erased_ids and entry["at"] >= now() - ERASED_ID_KEPT:
                entry["erased_id"] = self.erased_ids[entry["position"]]
        return [e for e in found if types is None or e["type"] in types or (moves and "segment" in e)][:limit]

    def of_customer(self, cust_id: str, before: int | None, limit: int) -> list[Logged]:
        mine = [e for e in self._all() if e["subject"] == Subject(type="customer", id=cust_id)]
        for entry in mine:
            if entry["position"] in self.values:
                entry["values"] = self.values[entry["position"]]
        return [e for e in mine if before is None or e["position"] < before][::-1][:limit]

    def segment_changes(self, since: datetime, until: datetime | None) -> Iterator[list[Logged]]:
        found = [e for e in self._all() if "segment" in e and since <= e["at"] and (until is None or e["at"] < until)]
        if found:
            yield sorted(found, key=lambda entry: entry["at"])

    def position_at(self, at: datetime) -> int:
        made = [(e["at"], e["position"]) for e in self._all() if e["at"] >= at]
        return min(made)[1] if made else self._last + 1

    def count(self, kind: ChangeType, first: int, most: int) -> int:
        return min(most, sum(e["type"] == kind and e["position"] >= first for e in self._all()))

    def head(self) -> int:
        self._use()
        return self._last

    def memory(self) -> Memory:
        self._use()
        return self.kept

    def forget(self, before: datetime) -> int:
        first = next((e["position"] for e in self._all() if e["at"] >= before), self._last + 1)
        old = [position for position in self.entries if position < first]
        if old:
            since = max(self.kept.since, before)
            self.kept = Memory(first, since, max(since, self.kept.values_since))
        for position in old:
            del self.entries[position]
        return len(old)

    def erase(self, cust_id: str) -> int:
        mine = [e["position"] for e in self._all() if e["subject"] == Subject(type="customer", id=cust_id)]
        for position in mine:
            self.entries[position] = cast(Logged, nameless(self.entries[position]))
            self.values.pop(position, None)
        return len(mine)

    def _all(self) -> list[Logged]:
        self._use()
        return deepcopy([self.entries[position] for position in sorted(self.entries)])

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def _matches(entry: Logged, filters: AuditFilters) -> bool:
    asked = [
        (filters.subject, entry["subject"]["id"]),
        (filters.actor, entry["actor"]["id"]),
        (filters.action, entry["type"]),
    ]
    return (
        all(wanted is None or wanted == value for wanted, value in asked)
        and (filters.since is None or entry["at"] >= filters.since)
        and (filters.until is None or entry["at"] < filters.until)
        and (filters.followers or entry["cause"] in OWN_CAUSES or entry["type"] in OWN_TYPES)
    )


def _is_about(cust_id: str, entry: Entry) -> bool:
    return cust_id in (entry.get("erased_id"), entry["subject"]["id"])


class InMemoryOutboxes:
    """Outboxes: those of the fakes of customers and of deleted ones, and what was added.

    Attributes
    ----------
    added : entries that are not a customer's own.
    failure : raised by every call while it is set.
    """

    def __init__(self, log: InMemoryChangeLog | None = None, customers: Any = None, deleted: Any = None) -> None:
        self.added: dict[int, list[Entry]] = {}
        self.failure: StoreError | None = None
        self._log = log or InMemoryChangeLog()
        self._customers = customers
        self._deleted = deleted
        self._number = 0

    def entries(self) -> list[Entry]:
        """Return what has been added and waits."""
        return [entry for entries in self.added.values() for entry in entries]

    def types(self) -> list[ChangeType]:
        """Return what has been added and waits, by type."""
        return [entry["type"] for entry in self.entries()]

    def add(self, entries: Sequence[Entry]) -> None:
        self._use()
        self._number += 1
        self.added[self._number] = deepcopy(list(entries))

    def move(self, limit: int) -> int:
        waiting = [*self.added.values()][:limit]
        self.added = dict([*self.added.items()][limit:])
        full = [c for c in self._documents() if c.get("outbox")][: limit - len(waiting)]
        return self._append([e for entries in waiting for e in entries] + [e for c in full for e in _emptied(c)])

    def move_of(self, cust_id: str) -> int:
        mine = [c for c in self._documents() if c["CUST_ID"] == cust_id]
        own = [entry for customer in mine for entry in _emptied(customer)]
        if not own:
            return 0
        theirs = [n for n, entries in self.added.items() if any(_is_about(cust_id, entry) for entry in entries)]
        self._append([entry for number in theirs for entry in self.added.pop(number)])
        return self._append(own)

    def erase(self, cust_id: str) -> int:
        self._use()
        mine, count = Subject(type="customer", id=cust_id), 0
        for entries in self.added.values():
            for place, entry in enumerate(entries):
                if entry["subject"] == mine:
                    entries[place] = nameless(entry)
                    count += 1
        return count

    def waiting(self) -> Waiting:
        self._use()
        found = self.entries() + [entry for c in self._documents() for entry in c.get("outbox", ())]
        return Waiting(len(found), min((entry["at"] for entry in found), default=None))

    def _documents(self) -> list[dict[str, Any]]:
        self._use()
        # A test may have a store on MongoDB in the place of one of the fakes.
        kept = (getattr(self._deleted, "copies", {}), getattr(self._customers, "customers", {}))
        return [document for documents in kept for document in documents.values()]

    def _append(self, entries: list[Entry]) -> int:
        self._log.append(in_order(entries))
        return len(entries)

    def _use(self) -> None:
        if self.failure:
            raise self.failure


class InMemoryOrders:
    """Orders in a dict.

    Attributes
    ----------
    orders : by id.
    seen : the last event that has been told, if any.
    failure : raised by every call while it is set.
    """

    def __init__(self, outboxes: InMemoryOutboxes | None = None) -> None:
        self.orders: dict[str, Entry] = {}
        self.seen: dict[str, str] = {}
        self.failure: StoreError | None = None
        self._outboxes = outboxes or InMemoryOutboxes()

    def place(self, order: Entry) -> None:
        self._use()
        self.orders[order["id"]] = deepcopy(order)

    def carried_out(self, entry: Entry) -> None:
        self._use()
        if self.orders.pop(entry["id"], None):
            self._outboxes.add([entry])

    def withdraw(self, ids: Sequence[str]) -> None:
        self._use()
        for order_id in ids:
            self.orders.pop(order_id, None)

    def of(self, types: Sequence[ChangeType]) -> list[Entry]:
        self._use()
        return [deepcopy(order) for order in self.orders.values() if order["type"] in types]

    def give_up(self, before: datetime, types: Sequence[ChangeType]) -> int:
        self._use()
        late = [order for order in self.orders.values() if order["at"] < before and order["type"] not in types]
        for order in late:
            self.carried_out({**order, "data": {**order.get("data", {}), **UNKNOWN}})
        return len(late)

    def last_seen(self) -> str | None:
        self._use()
        return self.seen.get("event")

    def see(self, event: str, after: str | None) -> bool:
        if self.last_seen() != after:
            return False
        self.seen["event"] = event
        return True

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def recorder(outboxes: InMemoryOutboxes | None = None, orders: InMemoryOrders | None = None) -> Recorder:
    """Return a recorder for services that the command line calls."""
    outboxes = outboxes or InMemoryOutboxes()
    return Recorder(outboxes, orders or InMemoryOrders(outboxes), lambda: Origin(COMMAND_LINE))


def _emptied(customer: dict[str, Any]) -> list[Entry]:
    """Empty a customer's outbox; return its entries with what goes without saying there."""
    subject, created_at = Subject(type="customer", id=customer["CUST_ID"]), customer["created_at"]
    entries, customer["outbox"] = customer.get("outbox", []), []
    return [{"subject": subject, "created_at": created_at, **entry} for entry in entries]
