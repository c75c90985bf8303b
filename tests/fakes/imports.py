"""The `ImportRecords` port in memory; `contracts.imports` proves that it behaves as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from threading import RLock

from gateway.services.clock import now
from gateway.services.errors import StoreError
from gateway.services.events.change import Actor
from gateway.services.imports.records import DETAILS, Import, ImportSummary, Progress
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
        self.end_entries: dict[str, str] = {}
        self.audits: set[str] = set()
        self.failure: StoreError | None = None
        self._faults: dict[str, dict[int, Sequence[RowFault]]] = {}
        self._lock = RLock()

    def begin(self, record: Import, *, first_load: bool = False) -> None:
        self._use()
        self.records[record["id"]] = deepcopy(record)
        self.first_loads |= {record["id"]} if first_load else set()

    def loading(self) -> bool:
        self._use()
        return any(self.records[import_id]["status"] == "running" for import_id in self.first_loads)

    def note(self, import_id: str, progress: Progress) -> bool:
        self._use()
        self.noted.append(deepcopy(progress))
        with self._lock:
            if import_id not in self.records:
                return False
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
        return len(silent)

    def unaudited(self, seconds: float) -> list[tuple[str, Actor]]:
        self._use()
        ended = [r for r in self.records.values() if r["status"] != "running" and _silence(r) > seconds]
        return [(record["id"], record["by"]) for record in ended if record["id"] not in self.audits]

    def end_entry(self, import_id: str, proposed: str) -> str:
        self._use()
        return self.end_entries.setdefault(import_id, proposed)

    def audited(self, import_id: str) -> None:
        self._use()
        self.audits.add(import_id)

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def _silence(record: Import) -> float:
    return (now() - record["updated_at"]).total_seconds()
