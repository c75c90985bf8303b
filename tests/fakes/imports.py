"""The `ImportRecords` port in memory; `contracts.imports` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from threading import RLock

from support.customers import origin

from fakes.changes import InMemoryOutboxes
from fakes.deletions import InMemoryDeletedCustomers, InMemoryTransactions
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from fakes.store import InMemoryCustomerStore
from gateway.services.clock import now
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.deletions import DeletionService
from gateway.services.errors import ImportRunning, MirrorRunning, StoreError
from gateway.services.imports.comparison import TrainingComparison
from gateway.services.imports.imports import ImportService
from gateway.services.imports.records import DETAILS, UNASKED, Beginning, Import, ImportSummary, Progress
from gateway.services.imports.source import RowFault


class InMemoryImportRecords:
    """Imports in a dict. Set `failure` to make every call raise it.

    Attributes
    ----------
    noted : the progress that was noted, in order.
    """

    def __init__(self) -> None:
        self.records: dict[str, Import] = {}
        self.noted: list[Progress] = []
        self.first_loads: set[str] = set()
        self.beginnings: dict[str, Beginning] = {}
        self.reported: dict[str, bool] = {}
        self.alone: set[str] = set()
        self.given_up: set[str] = set()
        self.held: tuple[str, datetime] | None = None
        self.failure: StoreError | None = None
        self._faults: dict[str, dict[int, Sequence[RowFault]]] = {}
        self._lock = RLock()

    def begin(
        self,
        record: Import,
        beginning: Beginning = UNASKED,
        *,
        first_load: bool = False,
        alone: bool = False,
        holder: str | None = None,
    ) -> None:
        self._use()
        if not record["dry_run"]:
            self._pass_gate(holder, alone=alone)
        self.alone |= {record["id"]} if alone else set()
        self.records[record["id"]] = deepcopy(record)
        self.beginnings[record["id"]] = beginning
        self.first_loads |= {record["id"]} if first_load else set()

    def hold(self, holder: str, seconds: float) -> None:
        self._use()
        self._pass_gate(holder, alone=True)
        self.held = (holder, now() + timedelta(seconds=seconds))

    def release(self, holder: str) -> None:
        self._use()
        if self.held and self.held[0] == holder:
            self.held = None

    def _pass_gate(self, holder: str | None, *, alone: bool) -> None:
        if self.held and self.held[0] != holder and self.held[1] > now():
            raise ImportRunning(None)
        for record in self.records.values():
            if record["status"] == "running" and not record["dry_run"] and (alone or record["id"] in self.alone):
                raise (MirrorRunning if record["mode"] == "mirror" else ImportRunning)(record["id"])

    def loading(self) -> bool:
        self._use()
        return any(self.records[import_id]["status"] == "running" for import_id in self.first_loads)

    def note(self, import_id: str, progress: Progress) -> bool:
        self._use()
        self.noted.append(deepcopy(progress))
        with self._lock:
            displaced = import_id in self.alone & self.given_up
            if import_id not in self.records or import_id in self.reported or displaced:
                return import_id in self.records
            self.records[import_id] |= {**deepcopy(progress), "updated_at": now()}  # type: ignore[typeddict-item]
            return self.records[import_id]["cancel_requested"]

    def note_faults(self, import_id: str, batch: int, faults: Sequence[RowFault]) -> None:
        self._use()
        self._faults.setdefault(import_id, {})[batch] = deepcopy(faults)

    def faults(self, import_id: str) -> Iterator[Sequence[RowFault]]:
        self._use()
        for _, faults in sorted(self._faults.get(import_id, {}).items()):
            yield deepcopy(faults)

    def get(self, import_id: str) -> Import | None:
        self._use()
        return deepcopy(self.records.get(import_id))

    def page(self, before: str | None, limit: int) -> list[ImportSummary]:
        self._use()
        ids = sorted((i for i in self.records if before is None or i < before), reverse=True)[:limit]
        return [{k: v for k, v in deepcopy(self.records[i]).items() if k not in DETAILS} for i in ids]  # type: ignore[misc]

    def request_cancel(self, import_id: str) -> bool:
        self._use()
        with self._lock:
            if import_id not in self.records or self.records[import_id]["status"] != "running":
                return False
            self.records[import_id]["cancel_requested"] = True
            return True

    def interrupt_stale(self, seconds: float, reason: str) -> int:
        self._use()
        with self._lock:
            silent = [r for r in self.records.values() if r["status"] == "running" and _silence(r) > seconds]
            for record in silent:
                record |= {"status": "interrupted", "reason": reason, "finished_at": now()}
                self.given_up.add(record["id"])
        return len(silent)

    def unreported(self, seconds: float) -> list[str]:
        self._use()
        ended = [r["id"] for r in self.records.values() if r["status"] != "running" and _silence(r) > seconds]
        return [import_id for import_id in ended if import_id not in self.reported]

    def mark_reported(self, import_id: str) -> tuple[Import, Beginning] | None:
        self._use()
        with self._lock:
            found = self.records.get(import_id)
            if found is None or found["status"] == "running" or import_id in self.reported:
                return None
            self.reported[import_id] = True
        return deepcopy(found), self.beginnings[import_id]

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def _silence(record: Import) -> float:
    return (now() - record["updated_at"]).total_seconds()


def import_service(
    store: InMemoryCustomerStore,
    model: FakeModel,
    records: InMemoryImportRecords | None = None,
    outboxes: InMemoryOutboxes | None = None,
    registry: FakeRegistry | None = None,
) -> ImportService:
    """Return the service on these fakes, or on others that nobody looks at."""
    records, outboxes = records or InMemoryImportRecords(), outboxes or InMemoryOutboxes()
    deleted = InMemoryDeletedCustomers()
    together = InMemoryTransactions(lambda: [records.records, records.reported, outboxes.added])
    moving = InMemoryTransactions(lambda: [store.customers, deleted.copies])
    deletions = DeletionService(store, deleted, outboxes, moving, timedelta(days=30), origin)
    comparison = TrainingComparison(registry or FakeRegistry(), 7.0)
    return ImportService(store, Assigner(model, 0.5), records, outboxes, together, comparison, deletions, origin)
