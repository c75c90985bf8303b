"""Imports as resources: begin one, look it up, stop it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from gateway.services.clock import now
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.bulk_writes import BulkWriter, DryRunStore, RowCounts
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import ImportEnded, ImportNotFound, StoreError
from gateway.services.events.change import Origin
from gateway.services.events.log import Outboxes
from gateway.services.imports import entries
from gateway.services.imports.comparison import TrainingComparison
from gateway.services.imports.mirror import Mirror
from gateway.services.imports.records import (
    DIED,
    HEARTBEAT_TIMEOUT,
    MAX_KEPT_FAULTS,
    REPORT_SECONDS,
    Beginning,
    Import,
    ImportMode,
    ImportRecords,
    ImportSummary,
    SegmentChanges,
    actor_of,
    source_members,
)
from gateway.services.imports.run import ImportRun
from gateway.services.imports.source import RowFault, Source
from gateway.services.pages import Page
from gateway.services.principal import Principal
from gateway.services.transactions import Transactions

log = logging.getLogger(__name__)

_LARGE = 4 * 1024 * 1024
"""Bytes of a file from which keeping the indexes up to date takes longer than to build them anew."""
_BYTES_A_ROW = 100
_FEW = 20_000
"""Customers of whom a list takes some hundredths of a second without an index."""
_LATEST = 10
_NOT_KEPT = RowFault(line=0, column=None, detail=f"only the first {MAX_KEPT_FAULTS:,} faults are kept")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a file is imported.

    Attributes
    ----------
    dry_run : do everything but write.
    name : what the file is called, for people.
    size : bytes of the file, where that is known.
    confirm_missing : how many stored customers the caller expects to be missing in a file that mirrors them.
    holder : who has held for this import, which is to run alone.
    """

    mode: ImportMode = ImportMode.UPSERT
    dry_run: bool = False
    name: str | None = None
    size: int | None = None
    confirm_missing: int | None = None
    holder: str | None = None


class ImportService:
    """Begins imports, reads their records and cancels them.

    Parameters
    ----------
    origin : says where the order for an import comes from.
    """

    def __init__(
        self,
        store: CustomerStore,
        assigner: Assigner,
        records: ImportRecords,
        outboxes: Outboxes,
        together: Transactions,
        comparison: TrainingComparison,
        deletions: DeletionService,
        origin: Callable[[], Origin],
    ) -> None:
        self._store = store
        self._assigner = assigner
        self._records = records
        self._outboxes = outboxes
        self._together = together
        self._comparison = comparison
        self._deletions = deletions
        self._origin = origin

    def begin(self, source: Source, order: ImportOptions, by: Principal) -> ImportRun:
        """Note that a file is being imported; the run that is returned does it.

        Raises
        ------
        ImportRunning, StoreError
        """
        self._records.interrupt_stale(HEARTBEAT_TIMEOUT, DIED)
        record, origin = _new_record(source, order, by), self._origin()._replace(caller=by)
        store = DryRunStore(self._store) if order.dry_run else self._store
        outboxes = None if order.dry_run else self._outboxes
        writer = BulkWriter(store, self._assigner, lambda: origin, outboxes, cause="import")
        alone = order.holder is not None or (order.mode == ImportMode.MIRROR and not order.dry_run)
        first_load = not order.dry_run and _is_first_load(self._store, order.size or 0)

        def begin() -> None:
            beginning = Beginning(origin.request_id, origin.address)
            self._records.begin(record, beginning, first_load=first_load, alone=alone, holder=order.holder)
            self._outboxes.add([entries.started(record, beginning)])

        self._together.run(begin)
        if first_load:
            _drop_sort_indexes(self._store)
        return ImportRun(
            record,
            source,
            writer,
            self._records,
            lambda: self._report_end(record["id"]),
            self._comparison,
            self._mirror(record, order, origin) if order.mode == ImportMode.MIRROR else None,
        )

    @contextmanager
    def held(self) -> Iterator[Callable[[], str]]:
        """Keep imports from beginning; yields what goes on with that, now and then, and returns the holder.

        Raises
        ------
        ImportRunning, StoreError
        """
        holder = secrets.token_hex(8)

        def go_on() -> str:
            self._together.run(lambda: self._records.hold(holder, HEARTBEAT_TIMEOUT))
            return holder

        self._records.interrupt_stale(HEARTBEAT_TIMEOUT, DIED)
        go_on()
        try:
            yield go_on
        finally:
            self._records.release(holder)

    def _mirror(self, record: Import, order: ImportOptions, origin: Origin) -> Mirror:
        began, confirmed = record["created_at"], order.confirm_missing
        return Mirror(self._store, self._deletions, origin, began, confirmed, dry_run=order.dry_run)

    def get(self, import_id: str) -> Import:
        """Return one import.

        Raises
        ------
        ImportNotFound, StoreError
        """
        self.run_once()
        record = self._records.get(import_id)
        if record is None:
            raise ImportNotFound(import_id)
        return record

    def page(self, before: str | None, limit: int) -> Page[ImportSummary, str]:
        """Return up to `limit` imports, newest first, that are older than the one whose id is `before`.

        Raises
        ------
        StoreError
        """
        self.run_once()
        found = self._records.page(before, limit + 1)
        return Page.of(found, limit, lambda record: record["id"])

    def latest(self) -> ImportSummary | None:
        """Return the last of the latest imports that was no dry run.

        Raises
        ------
        StoreError
        """
        return next((record for record in self.page(None, _LATEST).items if not record["dry_run"]), None)

    def cancel(self, import_id: str) -> Import:
        """Request that an import stops, in whichever process: it does in a second or two, and keeps what it stored.

        Raises
        ------
        ImportNotFound, ImportEnded, StoreError
        """
        self.run_once()
        requested = self._records.request_cancel(import_id)
        record = self.get(import_id)
        if not requested:
            raise ImportEnded(import_id, record["status"])
        return record

    def faults(self, import_id: str) -> Iterator[RowFault]:
        """Return all faults of an import, so far as they are kept; of the others there is one line that says so.

        Raises
        ------
        ImportNotFound, StoreError
            at once if there is no such import; a `StoreError` from the iterator as well.
        """
        record = self.get(import_id)
        return self._faults(import_id, record["faults"] > MAX_KEPT_FAULTS)

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:
        """Note which imports have died with their process; return how many. One of the worker's duties.

        The end of each import is recorded once: by its run, or by somebody here after the run has died before it could.

        Raises
        ------
        StoreError
        """
        heartbeat()
        died = self._records.interrupt_stale(HEARTBEAT_TIMEOUT, DIED)
        for import_id in self._records.unreported(REPORT_SECONDS):
            self._report_end(import_id)
        return died

    def _report_end(self, import_id: str) -> None:
        def report() -> None:
            if found := self._records.mark_reported(import_id):
                self._outboxes.add([entries.completed(*found)])

        self._together.run(report)

    def _faults(self, import_id: str, more: bool) -> Iterator[RowFault]:
        for some in self._records.faults(import_id):
            yield from some
        if more:
            yield _NOT_KEPT


def _is_first_load(store: CustomerStore, size: int) -> bool:
    """Whether a file of so many bytes brings far more customers than there are.

    It goes in without the indexes that lists need: keeping them up to date makes it several times as slow, and the
    worker makes them again when it has ended. Those that are stored must be so few that lists of them need no index:
    the size is only what the sender says.
    """
    if size < _LARGE:
        return False
    stored = store.count((), exact=False).total
    return stored <= _FEW and stored * _BYTES_A_ROW * 10 < size


def _drop_sort_indexes(store: CustomerStore) -> None:
    """Drop the indexes that only lists need, if that is possible just now."""
    try:
        store.drop_sort_indexes()
    except StoreError as error:  # the import will tell whether the database is there
        log.warning("the import will be slow, as the indexes of lists could not be dropped: %s", error)


def _new_record(source: Source, order: ImportOptions, by: Principal) -> Import:
    at = now()
    return {
        "id": _new_id(at),
        "status": "running",
        "mode": order.mode.value,
        "dry_run": order.dry_run,
        "name": order.name,
        "deleted": 0,
        **RowCounts().members(),  # type: ignore[typeddict-item]  # its members are all members of the record
        "size": order.size,
        **source_members(source),
        "errors": [],
        "warnings": [],
        "segment_changes": SegmentChanges(count=0, unknown=0, moves=[]),
        "drift": None,
        "drift_unavailable": None,
        "mirror": None,
        "reason": None,
        "by": actor_of(by),
        "cancel_requested": False,
        "created_at": at,
        "updated_at": at,
        "finished_at": None,
    }


def _new_id(at: datetime) -> str:
    """Return an id that sorts by time."""
    return f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z-{secrets.token_hex(4)}"
