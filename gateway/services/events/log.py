"""The ports of the change log: what waits, how it is moved, and how the log is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol, get_args

from gateway.services.events.change import Cause, ChangeType, Entry, Logged


class Waiting(NamedTuple):
    """How many entries wait in outboxes (an estimate beyond some thousands), and since when the oldest does."""

    entries: int
    oldest: datetime | None


class Outboxes(Protocol):
    """Where changes wait until they are in the log. Every method may raise `StoreError`."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Let entries wait that are not a customer's own; each has a ``subject``. Takes part in transactions."""

    def move(self, limit: int) -> int:
        """Move the entries of up to `limit` documents into the log; return how many entries those were.

        One transaction: each entry is in the log exactly once, and positions appear in the order of the commits.
        Entries of one CUST_ID keep their order. One with an ``id`` that the log has already is dropped.
        """

    def move_of(self, cust_id: str) -> int:
        """Move the entries of one customer, stored or deleted, after what was added about its id; return how many."""

    def erase(self, cust_id: str) -> int:
        """Remove the customer's id and values from entries that were added; return how many entries there were.

        What waits with the customer itself is not touched. Takes part in transactions.
        """

    def waiting(self) -> Waiting:
        """Return what waits."""


class Orders(Protocol):
    """What the model service is about to be asked for: entries with an ``id``. Every method may raise `StoreError`.

    `withdraw` and `see` take part in transactions.
    """

    def place(self, order: Entry) -> None:
        """Write an order down, durably."""

    def carried_out(self, entry: Entry) -> None:
        """Let the entry wait for the log in the place of the order with its ``id``."""

    def withdraw(self, ids: Sequence[str]) -> None:
        """Forget orders."""

    def of(self, types: Sequence[ChangeType]) -> list[Entry]:
        """Return the orders of these types."""

    def give_up(self, before: datetime, types: Sequence[ChangeType]) -> int:
        """Let orders placed before then, of other types, wait for the log as they are; return how many they were.

        Their ``data`` say that the outcome is unknown.
        """

    def last_seen(self) -> str | None:
        """Return the id of the last event of the model store that has been recorded."""

    def see(self, event: str, after: str | None) -> bool:
        """Note that events up to `event` are recorded, unless others than up to `after` were; return whether it did."""


class Memory(NamedTuple):
    """How far back the log goes.

    Attributes
    ----------
    position : the first that is kept; 0 while nothing has been dropped.
    since : all changes made since then are in it, or on their way into it.
    values_since : the same for former values.
    """

    position: int
    since: datetime
    values_since: datetime


class AuditFilters(NamedTuple):
    """Which entries are asked for; None where it does not matter. ``since`` is inclusive, ``until`` is not.

    Without ``followers``, those are left out that only follow from an import, an activation or a rollback: each
    customer has one, and the import or the scoring has an entry of its own that tells how many they are.
    """

    subject: str | None = None
    actor: str | None = None
    action: ChangeType | None = None
    since: datetime | None = None
    until: datetime | None = None
    followers: bool = True


OWN_CAUSES: Final[tuple[Cause | None, ...]] = (
    None,
    *(cause for cause in get_args(Cause) if cause not in ("model_activated", "rollback", "import")),
)
"""What causes entries that do not merely follow from another one."""
OWN_TYPES: Final[tuple[ChangeType, ...]] = tuple(
    kind for kind in get_args(ChangeType) if not kind.startswith("customer.")
)
"""Types of entries that do not follow from another one, whatever causes them: an import has its own entries, too."""


class ChangeLog(Protocol):
    """All changes in one order. Nothing is ever changed in it but by an erasure. Methods may raise `StoreError`."""

    def newest_first(self, filters: AuditFilters, before: int | None, limit: int) -> list[Logged]:
        """Return up to `limit` entries, newest first, with positions lower than `before`: the audit trail."""

    def after(self, position: int, types: Sequence[ChangeType] | None, limit: int) -> list[Logged]:
        """Return up to `limit` entries with greater positions, in their order: the feed.

        `types` may have ``customer.segment_changed``: all with a segment part are of that type, too. None: all types.
        Erasures have their ``erased_id`` as long as it is kept.
        """

    def of_customer(self, cust_id: str, before: int | None, limit: int) -> list[Logged]:
        """Return up to `limit` entries of a customer, newest first, with the ``values`` that are still kept."""

    def segment_changes(self, since: datetime, until: datetime | None) -> Iterator[list[Logged]]:
        """Yield the entries with a segment part made then (inclusive, exclusive), in the order of time, by blocks."""

    def position_at(self, at: datetime) -> int:
        """Return the position of the entry that was made then or next; the one after the last where none was."""

    def count(self, kind: ChangeType, first: int, most: int) -> int:
        """Count entries of a type from a position on, at most so many: then it costs no more however many there are."""

    def head(self) -> int:
        """Return the position of the last entry; 0 where there is none. Takes part in transactions."""

    def memory(self) -> Memory:
        """Return how far back the log goes."""

    def forget(self, before: datetime) -> int:
        """Drop entries made before then, up to the first that was not; return how many those were."""

    def erase(self, cust_id: str) -> int:
        """Remove the customer's id and former values from its entries; return how many entries there were.

        Takes part in transactions.
        """
