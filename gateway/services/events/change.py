"""A change: what is written down of it, by whom it was made, and in which words.

The change of a customer travels in the customer's own document, in the same write (its ``outbox``); any other is
written with what it changes, in a transaction, into a collection of outboxes. The relay moves both into the log, gives
each its position there, and adds what the place of an entry said by itself (``subject``, ``created_at``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from heapq import merge
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, NotRequired, TypedDict, cast

from gateway.services.principal import Principal

ChangeType = Literal[
    "customer.created",
    "customer.updated",
    "customer.segment_changed",
    "customer.rescored",
    "customer.deleted",
    "customer.restored",
    "customer.erased",
    "import.started",
    "import.completed",
    "assignments.recomputed",
    "segment.relabelled",
    "model.activated",
    "model.rolled_back",
    "training.started",
    "training.cancelled",
    "api_key.created",
    "api_key.rotated",
    "api_key.revoked",
    "webhook.created",
    "webhook.updated",
    "webhook.rotated",
    "webhook.disabled",
    "webhook.replayed",
    "webhook.deleted",
    "database.restored",
]
"""The one vocabulary of the audit trail, a customer's history and the feed of events."""

ERASED_ID_KEPT: Final = timedelta(hours=72)
"""How long the log keeps who has been erased, so that whoever follows it can erase the same."""

Cause = Literal["customer_data", "model_activated", "rollback", "import", "manual", "restored"]
"""Why a customer's segment is what it is: its own data were written; another version of the model was activated, or an
earlier one again; a file was imported; somebody asked for a new score; it was deleted and brought back."""

UNKNOWN: Final = {"outcome": "unknown"}
"""Among the ``data`` of an entry: nobody knows whether what it describes came about."""
ALREADY_ACTIVE: Final = {"outcome": "already_active"}
"""Among the ``data`` of an activation: the version was active before, so that nothing has changed."""

SubjectType = Literal[
    "customer", "erasure", "import", "segment", "model", "training", "api_key", "webhook", "assignments", "backup"
]


class Actor(TypedDict):
    """Who did it: the kind of caller (`services.principal.Principal`), its id, and what people called it then."""

    kind: str
    id: str
    name: str


class Subject(TypedDict):
    """What was changed. ``id`` is null for an erased customer."""

    type: SubjectType
    id: str | None


SegmentChange = TypedDict(
    "SegmentChange",
    {
        "from": str | None,
        "from_since": datetime | None,
        "from_model_version": NotRequired[str | None],
        "to": str | None,
        "confidence": float | None,
        "rival": str | None,
        "model_version": str | None,
    },
)
"""The part of a change that is about the segment; there only where ``from`` and ``to`` differ.

``from`` and ``to`` are segment ids, null where the customer has none (it was not there, is deleted, or is pending);
``from_since`` says since when it was in ``from``, so that entry and current state together give the segment at every
moment, and ``from_model_version`` which version had put it there last. ``confidence``, ``rival`` and
``model_version`` are those of ``to``, null with it.
"""


class Entry(TypedDict):
    """A change as it waits in an outbox. Members that are not required are left out where they say nothing.

    Attributes
    ----------
    before, after : revisions of a customer, or versions of the model.
    by : whom the caller named as the person behind it.
    address : the network address that the request came from.
    seq : of customers: counts the entries of one life of the CUST_ID from 1, without gaps.
    fields : the names of what changed: of a customer its features, of a segment the parts of its label.
    values : the former and the new value of each of these; kept for a shorter time than the entry.
    subject, created_at : what was changed, and of a customer since when it exists; within a customer's own document
        they go without saying.
    id : an own id, for what is to be in the log once whoever writes it; other entries are known by their position.
    data : further details of the type, such as the counts of a digest and the address of the list behind them.
    erased : whether the customer has been erased since; ``subject`` names nobody then.
    follows : of the restore of a backup: the position of the backup's last entry. Those between the two were given to
        changes that were lost with the database, and are never given again.
    erased_id : of an erasure: the CUST_ID, which the log keeps for `ERASED_ID_KEPT`; ``data``
        has the ``digest`` that stands for it afterwards.
    """

    at: datetime
    type: ChangeType
    cause: Cause | None
    actor: Actor
    by: str | None
    request_id: str | None
    address: str | None
    before: str | None
    after: str | None
    seq: NotRequired[int]
    fields: NotRequired[list[str]]
    values: NotRequired[Mapping[str, list[Any]]]
    segment: NotRequired[SegmentChange]
    subject: NotRequired[Subject]
    created_at: NotRequired[datetime]
    id: NotRequired[str]
    data: NotRequired[Mapping[str, Any]]
    erased: NotRequired[bool]
    follows: NotRequired[int]
    erased_id: NotRequired[str]


class EntryDetails(TypedDict, total=False):
    """What an entry may have beside the type, the subject and the origin; see `Entry`."""

    cause: Cause | None
    by: str | None
    before: str | None
    after: str | None
    fields: list[str]
    id: str
    data: Mapping[str, Any]
    erased_id: str


class Logged(Entry):
    """A change in the log.

    ``position`` is greater than that of everything that was in the log before. ``values`` are there only where they
    were asked for, and as long as they are kept.
    """

    position: int


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in the order of time, without changing that of those about one customer, or of one other kind."""
    about: dict[tuple[str, str | None], list[Entry]] = {}
    for entry in entries:
        kind, subject = entry["subject"]["type"], entry["subject"]["id"]
        about.setdefault((kind, subject if kind == "customer" else None), []).append(entry)
    return list(merge(*about.values(), key=itemgetter("at")))


def nameless(entry: Entry) -> Entry:
    """Return an entry of a customer without the customer: neither its id nor its values, and all else as it was."""
    return {**without_values(entry), "subject": Subject(type="customer", id=None), "erased": True}


def without_values(entry: Entry) -> Entry:
    """Return an entry without what is kept for a shorter time than the rest of it."""
    return cast(Entry, {name: value for name, value in entry.items() if name not in ("values", "erased_id")})


class Due(TypedDict):
    """What made a stored customer due for a segment, kept with it while it is pending, for the entry of its assignment.

    ``was`` is the segment that it had before.
    """

    cause: Cause | None
    actor: Actor
    by: str | None
    request_id: str | None
    address: str | None
    was: str | None


class Origin(NamedTuple):
    """Where a change comes from: who wants it, in which request, from which address."""

    caller: Principal
    request_id: str | None = None
    address: str | None = None

    @property
    def actor(self) -> Actor:
        """The caller, as an entry names it."""
        return Actor(kind=self.caller.kind, id=self.caller.id, name=self.caller.name)
