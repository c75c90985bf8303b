"""The run of an import: it stores a file batch by batch and keeps the record up to date until it has ended."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import not_
from threading import Event, Lock, Thread
from typing import Any

from gateway.services.clock import now
from gateway.services.customers.bulk_writes import BulkWriter, Mode, Outcome, RowCounts, Verdict, count
from gateway.services.errors import (
    Contended,
    ImportFailed,
    ImportInterrupted,
    ImportUnreadable,
    InvalidInput,
    MirrorRefused,
    SegmentationError,
    StoreError,
    StoreUnavailable,
    UploadBroken,
)
from gateway.services.imports.comparison import Compared, RowSample, TrainingComparison
from gateway.services.imports.mirror import Mirror
from gateway.services.imports.records import (
    MAX_KEPT_FAULTS,
    MAX_LISTED_ERRORS,
    Import,
    ImportRecords,
    ImportStatus,
    Progress,
    SegmentChanges,
    SegmentMove,
    source_members,
)
from gateway.services.imports.row_warnings import ENDS_OPEN, NO_RANGES, Matrix, Ranges, WarningTally, matrix_of
from gateway.services.imports.source import Batch, RowFault, RowWarning, Source
from shared.features import CUST_ID


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What became of a batch's rows.

    Attributes
    ----------
    faults : all its faults in the order of their lines.
    moves : how many stored customers went from one segment to another, or to one that is not known.
    rows : the features of its faultless rows.
    warnings : what is odd about those.
    """

    counts: RowCounts
    faults: Sequence[RowFault]
    moves: Mapping[tuple[str, str | None], int] = field(default_factory=dict)
    rows: Matrix = field(default_factory=lambda: matrix_of([]), compare=False)
    warnings: WarningTally = field(default_factory=WarningTally, compare=False)


def stored_batch(batch: Batch, outcomes: Mapping[str, Outcome], ranges: Ranges) -> StoredBatch:
    """Return what became of a batch, from what became of its customers."""
    counts, faults = count(outcomes.values()), batch.faults
    if counts.rejected:  # there are no conditions in an import: they exist already
        exist = [outcomes[cust_id].verdict is Verdict.EXISTS for cust_id, _ in batch.customers]
        refused = [
            RowFault(line=line, column=CUST_ID, detail="already exists") for line in compress(batch.lines, exist)
        ]
        faults = sorted([*faults, *refused], key=lambda fault: fault["line"])
        taken = list(map(not_, exist))
        batch = replace(
            batch, customers=list(compress(batch.customers, taken)), lines=list(compress(batch.lines, taken))
        )
    rows, warnings = matrix_of(batch.customers), WarningTally(batch.warnings)
    warnings.note_rows(rows, batch.lines, ranges)
    moves = Counter([outcome.moved for outcome in outcomes.values() if outcome.moved]) if counts.updated else {}
    return StoredBatch(counts + RowCounts(rejected=batch.rejected, faults=len(faults)), faults, moves, rows, warnings)


class FileResult:
    """What became of the rows of a file so far; threads may share it.

    Attributes
    ----------
    counts : what became of them.
    sample : those that drift is measured on.
    compared : the drift, once it has been measured.
    """

    def __init__(self) -> None:
        self.counts = RowCounts()
        self.sample = RowSample()
        self.compared = Compared(None, None)
        self._errors: list[RowFault] = []
        self._warnings = WarningTally()
        self._moves: Counter[tuple[str, str | None]] = Counter()
        self._lock = Lock()

    def add(self, batch: StoredBatch) -> None:
        """Add the next batch of the file."""
        with self._lock:
            self.counts += batch.counts
            self.sample.add(batch.rows)
            self._errors.extend(batch.faults[: MAX_LISTED_ERRORS - len(self._errors)])
            self._warnings.add(batch.warnings)
            self._moves.update(batch.moves)

    def warn(self, warning: RowWarning) -> None:
        """Add a warning about the whole file."""
        with self._lock:
            self._warnings.add(WarningTally([warning]))

    def members(self) -> dict[str, Any]:
        """Return the members of an import's record that say all this."""
        with self._lock:
            return {
                **self.counts.members(),
                "errors": list(self._errors),
                "warnings": self._warnings.summary(),
                "segment_changes": _segment_changes(self._moves),
                "drift": self.compared.drift,
                "drift_unavailable": self.compared.unavailable,
            }


def _segment_changes(moves: Counter[tuple[str, str | None]]) -> SegmentChanges:
    listed: list[SegmentMove] = [
        {"from": old, "to": new, "count": number} for (old, new), number in moves.items() if new is not None
    ]
    listed.sort(key=lambda move: (-move["count"], move["from"], move["to"]))
    known = sum(move["count"] for move in listed)
    return SegmentChanges(count=known, unknown=moves.total() - known, moves=listed)


class BatchQueue:
    """Batches that are being stored, in the order of the file; threads may share it.

    Parameters
    ----------
    stored : called with each batch that has been stored, in order; never by two threads at once.
    """

    def __init__(self, stored: Callable[[StoredBatch], None]) -> None:
        self._stored = stored
        self._futures: deque[Future[StoredBatch]] = deque()
        self._failure: BaseException | None = None
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._futures)

    def add(self, batch: Future[StoredBatch]) -> None:
        """Add a batch behind the others."""
        self._futures.append(batch)

    def wait(self, most: int, seconds: float) -> bool:
        """Wait until at most `most` are left, or for `seconds`; return whether no more are.

        Raises
        ------
        BaseException
            what stopped one of them, the first in the order of the file.
        """
        with self._lock:
            due = list(self._futures)[: max(0, len(self._futures) - most)]
        if due:  # all of them: a later one may be stored before an earlier one
            wait(due, seconds)
        self.count()
        if self._failure:
            raise self._failure
        return len(self._futures) <= most

    def count(self) -> None:
        """Hand on those that have been stored."""
        with self._lock:
            while self._futures and self._futures[0].done():
                batch = self._futures.popleft()
                if failure := batch.exception():
                    self._failure = self._failure or failure
                else:
                    self._stored(batch.result())


log = logging.getLogger(__name__)

WRITERS = 3
"""Batches that are stored at a time, while another is read: the database writes one, the model scores another."""
HEARTBEAT_SECONDS = 1.0
"""How often the record is brought up to date and yielded."""
_PASSING = (StoreUnavailable, Contended, UploadBroken)
_DISCONNECTED = "The client disconnected; sending the file again finishes the import."
_INTERNAL_ERROR = "An internal error; see the log."


class ImportRun:
    """Imports a file, and keeps the record of it up to date.

    Only the run writes that record while the process lives; see `ImportRecords`.

    Parameters
    ----------
    ended : called when the import has ended.
    mirror : deletes who is missing in the file, where that is wanted.
    """

    def __init__(
        self,
        record: Import,
        source: Source,
        writer: BulkWriter,
        records: ImportRecords,
        ended: Callable[[], object],
        comparison: TrainingComparison,
        mirror: Mirror | None = None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._record = record
        self._source = source
        self._writer = writer
        self._records = records
        self._ended = ended
        self._comparison = comparison
        self._mirror = mirror
        self._heartbeat_seconds = heartbeat_seconds
        self._ranges: Ranges = {}
        self._result = FileResult()
        self._queue = BatchQueue(self._result.add)
        self._stop = Event()
        self._all_done = False
        self._left = Event()
        self._failure: SegmentationError | None = None

    @property
    def record(self) -> Import:
        """The import as it is now."""
        read = source_members(self._source) | self._mirrored_members()
        current = {"cancel_requested": self._stop.is_set(), "updated_at": self._record["finished_at"] or now()}
        return {**self._record, **self._result.members(), **read, **current}  # type: ignore[typeddict-item]  # all members

    def progress(self) -> Iterator[Import]:
        """Import the file; yield the record about once a second, and in the end as it ended.

        What stops the import is in the last record, and raised by `check`; only programming errors are raised.
        """
        with self._heartbeats():
            try:
                self._end((yield from self._stored()))
            except GeneratorExit:
                if self._all_done:
                    self._end("completed")
                else:
                    self._end_early("interrupted", _DISCONNECTED)
                raise
            except MirrorRefused as error:
                self._failure = error
                self._end_early("failed", f"Nobody was deleted: {error.reason}.")
            except SegmentationError as error:
                self._failure = error
                self._end_early("interrupted" if isinstance(error, _PASSING) else "failed", str(error))
            except BaseException:
                self._end("failed", _INTERNAL_ERROR)
                raise
        yield self.record

    def check(self) -> None:
        """Say what stopped the import, if it has been stopped.

        Raises
        ------
        ImportInterrupted, ImportFailed, ImportUnreadable, MirrorRefused
        """
        if (failure := self._failure) is not None and self._record["status"] != "cancelled":
            if isinstance(failure, MirrorRefused):
                raise failure
            kinds = {InvalidInput: ImportUnreadable} | dict.fromkeys(_PASSING, ImportInterrupted)
            record = self.record
            raise kinds.get(type(failure), ImportFailed)(record["id"], record["rows"], str(failure)) from failure

    def _stored(self) -> Generator[Import, None, ImportStatus]:
        """Do all that the import is for and yield the record now and then; return how that ended."""
        self._learn_ranges()
        with ThreadPoolExecutor(WRITERS, "import") as pool:
            if not (yield from self._batches_stored(pool)):
                return "cancelled"
            self._all_done = self._mirror is None
            comparison = pool.submit(self._comparison.drift, self._result.sample)
            try:
                while not wait([comparison], self._heartbeat_seconds).done:
                    yield self.record
            finally:
                self._result.compared = comparison.result()
            if self._mirror:
                yield from self._mirrored(self._mirror, pool)
        return "completed" if self._all_done else "cancelled"

    def _batches_stored(self, pool: ThreadPoolExecutor) -> Generator[Import, None, bool]:
        """Store the file's batches; return whether all of them are stored, and the import was not to stop."""
        shown_at = time.monotonic()
        for number, batch in enumerate(self._source.batches()):
            # No batch waits for a thread: once the database is unavailable, none must begin and wait for it, too.
            while not self._queue.wait(WRITERS - 1, self._heartbeat_seconds):
                yield self.record
            if self._stop.is_set():
                return False
            if self._mirror:
                self._mirror.note(batch)
            self._queue.add(pool.submit(self._store, number, batch))
            if time.monotonic() >= shown_at + self._heartbeat_seconds:
                yield self.record
                shown_at = time.monotonic()
        while not self._queue.wait(0, self._heartbeat_seconds):
            yield self.record
        return True

    def _mirrored(self, mirror: Mirror, pool: ThreadPoolExecutor) -> Iterator[Import]:
        """Delete who is missing in the file, all of which has been stored."""
        mirror.cut = self._source.ends_open
        if mirror.cut:
            self._result.warn(ENDS_OPEN)
        deletion = pool.submit(mirror.carry_out, self._result.counts, self._is_given_up)
        try:
            while not wait([deletion], self._heartbeat_seconds).done:
                yield self.record
        finally:
            self._left.set()
        deletion.result()
        self._all_done = not self._stop.is_set()

    def _is_given_up(self) -> bool:
        self._note()  # says, before each part is deleted, whether others have begun by now
        return self._stop.is_set() or self._left.is_set()

    def _learn_ranges(self) -> None:
        """Learn outside of what a value is worth a warning."""
        ranges = self._comparison.ranges()
        if ranges is None:
            self._result.warn(NO_RANGES)
        else:
            self._ranges = ranges

    def _store(self, number: int, batch: Batch) -> StoredBatch:
        """Store one batch and its faults; runs in a thread of the import's own."""
        so_far = self._result.counts
        mode = Mode.INSERT if self._record["mode"] == "insert" else Mode.UPSERT
        all_new = so_far.created > 0 and not so_far.updated and not so_far.unchanged
        outcomes = self._writer.write(dict(batch.customers), mode, likely_new=all_new)
        stored = stored_batch(batch, outcomes, self._ranges)
        if stored.faults and self._result.counts.faults < MAX_KEPT_FAULTS:
            self._records.note_faults(self._record["id"], number, stored.faults)
        return stored

    def _end(self, status: ImportStatus, reason: str | None = None) -> None:
        self._record |= {"status": status, "reason": reason, "finished_at": now()}

    def _end_early(self, status: ImportStatus, reason: str) -> None:
        """Note what ended the import; one that was to stop anyway just stopped."""
        if self._stop.is_set():
            self._end("cancelled")
        else:
            self._end(status, reason)

    @contextmanager
    def _heartbeats(self) -> Iterator[None]:
        """Note the import's progress about once a second, and at last its end."""
        ended = Event()
        thread = Thread(target=self._send_heartbeats, args=[ended], daemon=True, name="import-heartbeat")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._source.close()
            self._queue.count()
            self._note()
            self._note_end()

    def _send_heartbeats(self, ended: Event) -> None:
        """Save the progress and learn whether the import has to stop, until it has ended.

        A client that sends nothing would keep a cancelled import from ending: then it ends here.
        """
        while not ended.wait(self._heartbeat_seconds):
            self._queue.count()
            if self._stop.is_set() and not len(self._queue):
                self._end("cancelled")
            self._note()

    def _mirrored_members(self) -> Progress:
        return self._mirror.members() if self._mirror else {}

    def _note(self) -> None:
        changing = (
            *("status", "reason", "finished_at", *self._mirrored_members()),
            *(*source_members(self._source), *self._result.members()),
        )
        record = self.record
        try:
            if self._records.note(record["id"], {name: record[name] for name in changing}):  # type: ignore[literal-required]  # its own names
                self._stop.set()
        except StoreError as error:  # its heartbeat timeout will be noticed
            log.warning("import %s could not save its progress: %s", record["id"], error)

    def _note_end(self) -> None:
        try:
            self._ended()
        except StoreError as error:
            log.warning("the end of import %s could not be told; a worker does so later: %s", self._record["id"], error)
