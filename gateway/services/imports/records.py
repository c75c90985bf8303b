"""What is kept of an import: its record, which is its receipt in the end, and every fault of its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Protocol, TypedDict

from gateway.services.events.change import Actor
from gateway.services.imports.source import RowFault, Source
from gateway.services.principal import Principal
from shared.customer_files.header import ReadColumn
from shared.model_contract import Drift

ImportStatus = Literal["running", "completed", "cancelled", "interrupted", "failed"]
"""``completed``: the whole file was read. ``cancelled``: on request. ``interrupted``: the process died, the client
disconnected or the database became unavailable; sending the file again finishes it. ``failed``: that would not help."""

MAX_LISTED_ERRORS = 100
"""How many faults a receipt lists."""
MAX_KEPT_FAULTS = 1_000_000
"""How many faults of one import are kept; the others are counted. A hostile file could have a hundred million."""
HEARTBEAT_TIMEOUT = 10.0
"""Seconds after which an import without a heartbeat, which comes every second, has died with its process."""
REPORT_SECONDS = 3 * HEARTBEAT_TIMEOUT
"""Seconds after which the change log is told that an import has died: one that is only held up is heard of by then."""
DIED = (
    "The process that ran the import died or lost the database; at least the rows counted here were stored, "
    "and sending the file again finishes the import."
)


class ImportMode(StrEnum):
    """What becomes of customers that are stored already.

    With `INSERT` they stay as they are. With `MIRROR` those that are missing in the file are deleted, beside `UPSERT`.
    """

    UPSERT = "upsert"
    INSERT = "insert"
    MIRROR = "mirror"


class ImportSummary(TypedDict):
    """An import without its errors.

    ``rows`` is the sum of ``created``, ``updated``, ``unchanged`` and ``rejected``; of the created and updated ones,
    ``pending`` have no segment yet. ``deleted`` were missing in the file, where that mirrors the customers, and can be
    restored. ``faults`` counts single faults, of which one row can have several. ``bytes`` of
    the ``size`` of the file have been read. ``columns`` says which column was read from which of the file's,
    ``ignored_columns`` names the others. ``blank_rows`` held nothing and were skipped; they are no ``rows``.
    ``missing_words`` counts the words, such as ``NULL``, that stood for a missing value. With ``dry_run`` nothing is
    written: the counts say what would happen. ``updated_at`` is when the import was last heard of. ``reason`` says why
    it did not get to the end of the file.
    """

    id: str
    status: ImportStatus
    mode: Literal["upsert", "insert", "mirror"]
    dry_run: bool
    name: str | None
    rows: int
    created: int
    updated: int
    unchanged: int
    rejected: int
    pending: int
    deleted: int
    faults: int
    bytes: int
    size: int | None
    columns: list[ReadColumn]
    ignored_columns: list[str]
    blank_rows: int
    missing_words: dict[str, int]
    reason: str | None
    by: Actor
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class WarningExample(TypedDict):
    """Where something looks odd: its line (null where it is about the whole file), its column and a sentence.

    Like a fault it holds nothing of the row itself, neither its CUST_ID nor a value.
    """

    line: int | None
    column: str | None
    detail: str


class ColumnCount(TypedDict):
    """How many warnings are about a column; null stands for those about whole rows or the file."""

    column: str | None
    count: int


class WarningKind(TypedDict):
    """All warnings of one kind: how many, about which columns, and the first few in the order of their lines.

    One row can have several. Nothing was refused for them.
    """

    code: str
    count: int
    columns: list[ColumnCount]
    examples: list[WarningExample]


SegmentMove = TypedDict("SegmentMove", {"from": str, "to": str, "count": int})
"""How many customers go from one segment to another."""


class SegmentChanges(TypedDict):
    """How many stored customers change their segment, and from which to which, the most frequent move first.

    Of the ``unknown`` ones, which have a segment, nobody can say: the model service was unavailable.
    """

    count: int
    unknown: int
    moves: list[SegmentMove]


class MirrorOutcome(TypedDict):
    """How many of the customers that were ``stored`` when the import began are ``missing`` in its file.

    More than 5% of them, and any where the file's last line has no line end, are only deleted where the caller has
    confirmed their number (``confirmation_needed``).
    ``refused`` says why nobody is deleted, for this or because the file is not whole; null where it is carried out.
    """

    stored: int
    missing: int
    confirmation_needed: bool
    refused: str | None


class Import(ImportSummary):
    """An import, the first of its faults (`MAX_LISTED_ERRORS`) in the order of their lines, and what stands out in it.

    ``warnings`` are about the faultless rows, the most frequent kind first. ``segment_changes`` are those of stored
    customers that the file changes, with ``dry_run`` those that it would change; who has had no segment is not among
    them. ``drift`` compares the faultless rows with the data that
    the active model was trained on, of a large file a random sample of them. It is null until the whole file has been
    read, and where ``drift_unavailable`` says why. ``mirror`` is null until then too, and in other modes.
    """

    errors: list[RowFault]
    warnings: list[WarningKind]
    segment_changes: SegmentChanges
    drift: Drift | None
    drift_unavailable: str | None
    mirror: MirrorOutcome | None


DETAILS = ("errors", "warnings", "segment_changes", "drift", "drift_unavailable", "mirror")
"""What an `ImportSummary` leaves out of an `Import`."""


class Beginning(NamedTuple):
    """The request that an import came with, and the network address that this came from; None for the command line."""

    request_id: str | None = None
    address: str | None = None


UNASKED: Final = Beginning()

Progress = dict[str, Any]
"""The members of an `Import` that its run changes."""


class ImportRecords(Protocol):
    """Records of imports, kept for some time. Every method may raise `StoreError` or `StoreUnavailable`.

    Only the run of an import writes its progress and its end; everybody else may request that it stops, or note that
    its heartbeat is overdue, by the database's clock alone. Once its end has been told, nothing of it changes.
    """

    def begin(
        self,
        record: Import,
        beginning: Beginning = UNASKED,
        *,
        first_load: bool = False,
        alone: bool = False,
        holder: str | None = None,
    ) -> None:
        """Keep a new record. Takes part in transactions, and needs one to be sure that no other begins meanwhile.

        Except for dry runs, no other import runs beside one that is `alone`, and none begins while another than the
        `holder` holds: may raise `ImportRunning`.
        """

    def hold(self, holder: str, seconds: float) -> None:
        """Keep imports from beginning for so long, or go on with that; may raise `ImportRunning`.

        Takes part in transactions, and needs one.
        """

    def release(self, holder: str) -> None:
        """Let imports begin again."""

    def loading(self) -> bool:
        """Whether a first load is running."""

    def note(self, import_id: str, progress: Progress) -> bool:
        """Save how far an import is, or how it ended; return whether it has to stop.

        It has to on request, where it has been given up and that has been told, and where it was alone and has been
        given up: others may have begun.
        """

    def note_faults(self, import_id: str, batch: int, faults: Sequence[RowFault]) -> None:
        """Keep the faults of a batch."""

    def faults(self, import_id: str) -> Iterator[Sequence[RowFault]]:
        """Yield all faults that are kept, in the order of their lines, some at a time."""

    def get(self, import_id: str) -> Import | None:
        """Return one record, or None."""

    def page(self, before: str | None, limit: int) -> list[ImportSummary]:
        """Return up to `limit` records, newest first, that are older than the one whose id is `before`."""

    def request_cancel(self, import_id: str) -> bool:
        """Request that a running import stops; return whether one of this id runs."""

    def interrupt_stale(self, seconds: float, reason: str) -> int:
        """Note as interrupted what runs and has had no heartbeat for `seconds`; return how many those were."""

    def unreported(self, seconds: float) -> list[str]:
        """Return the imports that ended, were last heard of `seconds` ago, and whose end is not logged yet."""

    def mark_reported(self, import_id: str) -> tuple[Import, Beginning] | None:
        """Note that the end of an import is logged, and return what the entry needs; None where it was before.

        None as well where it still runs or there is no such import. Takes part in transactions.
        """


def source_members(source: Source) -> Progress:
    """Return the members of a record that say what was read of the file so far, and how."""
    return {
        "bytes": source.bytes_read,
        "columns": list(source.columns),
        "ignored_columns": list(source.ignored_columns),
        "blank_rows": source.blank_rows,
        "missing_words": dict(source.missing_words),
    }


def actor_of(principal: Principal) -> Actor:
    """Return who calls, as a record has it."""
    return Actor(kind=principal.kind, id=principal.id, name=principal.name)
