"""The feed of events: the change log, for systems that follow what happens here.

An entry is up to two events: the one that its type names, and `customer.segment_changed` where it moved a customer that
still exists. Events are numbered: an entry's own has twice its position, the second one the number after that. A cursor
is the number of the last event that its reader has passed. Numbers only grow, and nothing ever appears behind a cursor.

What is read is proved to be complete by the positions, which have no gaps: all entries are read, also by a reader who
wants few types, and one that is missing has been dropped from the log. Only the restore of a backup leaves positions
out, and its entry says which one it follows: whoever had read up to the backup goes on, and whoever had read what was
lost hears that the cursor has expired. A count taken elsewhere, such as that of the
last position, would prove nothing, since a database that has just changed its primary may answer from before.

Server-sent events would hold a thread for each reader for as long as it stays; a reader that polls and waits holds one
of a bounded number for at most half a minute, and works through every proxy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypedDict, get_args

from gateway.services.errors import CursorExpired
from gateway.services.events.change import ALREADY_ACTIVE, Cause, ChangeType, Logged, SubjectType
from gateway.services.events.log import ChangeLog
from gateway.services.events.log_watcher import LogWatcher
from gateway.services.transactions import Transactions

EventType = Literal[
    "customer.created",
    "customer.updated",
    "customer.segment_changed",
    "customer.deleted",
    "customer.restored",
    "customer.erased",
    "segment.relabelled",
    "model.activated",
    "model.rolled_back",
    "import.completed",
    "assignments.recomputed",
]
"""The types of events in the feed; other changes are in the audit trail alone."""
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)

_MOVE: Final = "customer.segment_changed"
_MOVING = frozenset[ChangeType]({"customer.created", "customer.updated", "customer.rescored", "customer.restored"})
"""Changes after which the customer exists: where they have a segment part, that is an event of its own."""
_SHOWN = ("from", "to", "confidence", "rival", "model_version")
_BLOCK = 1_000
_BLOCKS = 5
"""How many blocks of entries one answer looks through at most."""


class EventSubject(TypedDict):
    """What something happened to."""

    type: SubjectType
    id: str | None


class EventActor(TypedDict):
    """Who did it: the kind of caller and its id, such as that of an API key."""

    kind: str
    id: str


class Event(TypedDict):
    """What happened.

    Attributes
    ----------
    id : the same whenever it is read; greater numbers happened later.
    type : what happened, in the words of the audit trail.
    at : when it happened.
    subject : to what. `id` is null of a customer that has been erased since; an erasure itself has it for 72 hours.
    seq : of customers: counts the changes of the customer from 1; what an import left in its segment is not counted.
    created_at : of customers: since when this one exists; an id that is used again after a deletion begins anew.
    cause : why the segment changed, or the data.
    data : further details. Of a change of segment `from`, `to` (ids, or null), `confidence`, `rival` and
        `model_version` (`was`: the segment before it was pending); of an activation the versions `from` and
        `to`; of an import and of a re-scoring, counts and the address of the list behind them; of an erasure the id of
        its receipt (`erasure`) and the `digest` that stands for the customer. Never features.
    """

    id: str
    type: EventType
    at: datetime
    subject: EventSubject
    seq: int | None
    created_at: datetime | None
    cause: Cause | None
    actor: EventActor
    data: Mapping[str, Any]


class Events(NamedTuple):
    """Events in their order.

    Attributes
    ----------
    end : the number to go on after.
    more : whether others may follow that are there already.
    """

    items: list[Event]
    end: int
    more: bool


class FeedService:
    """Reads the feed."""

    def __init__(
        self,
        log: ChangeLog,
        transactions: Transactions,
        watcher: LogWatcher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._transactions = transactions
        self._watcher = watcher
        self._clock = clock

    def now(self) -> int:
        """Return the number after which everything is still to come."""
        return _last_number(self._log.head())

    def earliest(self) -> int:
        """Return the number after which everything follows that is kept."""
        return _last_number(max(self._log.memory().position - 1, 0))

    def after(self, number: int, types: Sequence[EventType] | None, limit: int, wait: float) -> Events:
        """Return up to `limit` events with greater numbers; where there are none, wait up to some seconds for one.

        Parameters
        ----------
        types : only these; None for all.

        Raises
        ------
        CursorExpired
            where events with greater numbers have been dropped, or there has never been such a number.
        """
        wanted = frozenset(types or EVENT_TYPES)
        give_up_at = self._clock() + wait
        while True:
            found = self._look(number, wanted, limit)
            number, left = found.end, give_up_at - self._clock()
            if found.items or found.more or left <= 0 or not self._watcher.wait(position_of(number), left):
                return found

    def close(self) -> None:
        """Let everybody go who waits or comes to wait: the process is about to end."""
        self._watcher.close()

    def _look(self, number: int, wanted: frozenset[str], limit: int) -> Events:
        items: list[Event] = []
        for _ in range(_BLOCKS):
            entries = self._entries(number)
            for entry in entries:
                for each in _events(entry):
                    if int(each["id"]) > number and each["type"] in wanted:
                        if len(items) == limit:
                            return Events(items, number, more=True)
                        items.append(each)
                    number = max(number, int(each["id"]))
                number = _last_number(entry["position"])
            if len(entries) < _BLOCK:
                return Events(items, number, more=False)
        return Events(items, number, more=True)

    def _entries(self, number: int) -> list[Logged]:
        """Return the next block of entries, none of which is missing."""
        position = position_of(number)
        found = self._log.after(position, None, _BLOCK)
        if not found:
            self._check_end(position)
        for entry in found:
            goes_on = entry.get("follows") == position and number <= _last_number(position)
            if not goes_on and entry["position"] != position + 1:  # those between have been dropped, or were lost
                raise CursorExpired(str(_last_number(entry["position"] - 1)))
            position = entry["position"]
        return found

    def _check_end(self, position: int) -> None:
        """Make sure that nothing follows because nothing has happened since."""
        kept = self._log.memory().position
        # A log that ends earlier is another one, such as that of a backup, unless the database answers from before.
        if position + 1 < kept or (position > self._log.head() and position > self._transactions.run(self._log.head)):
            raise CursorExpired(str(_last_number(max(kept - 1, 0))))


def position_of(number: int) -> int:
    """Return the position of the last entry all of whose events have a number up to this one."""
    return max((number + 1) // 2 - 1, 0)


def _last_number(position: int) -> int:
    return 2 * position + 1


def _events(entry: Logged) -> Iterator[Event]:
    """Yield the events of an entry, in their order."""
    number, moved = 2 * entry["position"], "segment" in entry and entry["type"] in _MOVING
    event = Event(
        id=str(number),
        type=_MOVE,
        at=entry["at"],
        subject=_subject(entry),
        seq=entry.get("seq"),
        created_at=entry.get("created_at"),
        cause=entry["cause"],
        actor=EventActor(kind=entry["actor"]["kind"], id=entry["actor"]["id"]),
        data=data_of(entry),
    )
    if entry["type"] in EVENT_TYPES and event["data"].get("outcome") != ALREADY_ACTIVE["outcome"]:
        yield {**event, "type": entry["type"]}
    if moved:
        yield {**event, "id": str(number + 1)}


def _subject(entry: Logged) -> EventSubject:
    if entry["type"] == "customer.erased":
        return EventSubject(type="customer", id=entry.get("erased_id"))
    return EventSubject(type=entry["subject"]["type"], id=entry["subject"]["id"])


def data_of(entry: Logged) -> dict[str, Any]:
    """Return what an event says beside what every event does."""
    data = dict(entry.get("data", {}))
    if moved := entry.get("segment"):
        data |= {name: value for name, value in moved.items() if name in _SHOWN}
    if entry["type"] in ("model.activated", "model.rolled_back"):
        data |= {"from": entry["before"], "to": entry["after"]}
    if entry["type"] == "customer.erased":
        data["erasure"] = entry["subject"]["id"]
    return data
