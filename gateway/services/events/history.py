"""The history of a customer: all that changed of it, by whom and why, and in which segment it was since when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NotRequired, TypedDict, cast

from gateway.services.customers.deletions import DeletedCustomers
from gateway.services.customers.segment import NamedSegment
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import CustomerNotFound
from gateway.services.events.change import Actor, Cause, ChangeType, Logged, SegmentChange
from gateway.services.events.log import ChangeLog, Memory, Outboxes
from gateway.services.events.reasons import Reasons, WhyUnavailable
from gateway.services.models.descriptions import Description, names_in
from gateway.services.models.model import Model
from gateway.services.pages import Page
from shared.contract import BORDERLINE, MoveExplanation

MAX_EXPLAINED: Final = 20
"""Most entries of a page whose moves are explained."""
_LOOKED_BACK = 100
"""Entries that are looked through for what a pending customer was before."""


class ValueChange(TypedDict):
    """A feature's value before and after; null where it was missing."""

    before: float | None
    after: float | None


HistoryMove = TypedDict(
    "HistoryMove",
    {
        "from": NamedSegment | None,
        "from_since": datetime | None,
        "from_model_version": str | None,
        "to": NamedSegment | None,
        "confidence": float | None,
        "borderline": bool | None,
        "rival": NamedSegment | None,
        "model_version": str | None,
    },
)
"""From which segment to which a customer went, since when it had been in the former one, and by which version last.

``from`` is null for a new customer and one that was pending or deleted, ``to`` for one that is now. What follows ``to``
is about it. Names are those of now.
"""


class HistoryEntry(TypedDict):
    """One change of a customer.

    Attributes
    ----------
    seq : counts the changes since the CUST_ID was created, from 1; ``created_at`` says which creation. Both are null in
        entries from before there was a history.
    before, after : revisions; null where there is none.
    by : whom the caller named as the person behind it.
    fields : the features that changed.
    values : their values before and after; null where they are not kept any more.
    segment : null where it stayed the same.
    was : of a customer that was pending, in which segment it was before.
    why : what in the data made the customer move, where that was asked for.
    why_unavailable : why that cannot be said.
    remark : what else may have had a part in the move: the model, which was another one before.
    """

    seq: int | None
    at: datetime
    type: ChangeType
    cause: Cause | None
    actor: Actor
    by: str | None
    request_id: str | None
    before: str | None
    after: str | None
    created_at: datetime | None
    fields: list[str]
    values: dict[str, ValueChange] | None
    segment: HistoryMove | None
    was: NotRequired[NamedSegment]
    why: NotRequired[MoveExplanation]
    why_unavailable: NotRequired[WhyUnavailable]
    remark: NotRequired[str]


class HistoryMemory(TypedDict):
    """How far back a history goes: entries that are older than ``since`` are gone, values older than ``values_since``.

    ``digests`` says which changes have no entry of their own.
    """

    since: datetime
    values_since: datetime
    digests: str


DIGESTS: Final = (
    "Imports, and the scoring of all customers by another version of the model, have an entry here only where the "
    "customer moved to another segment. A customer that an import created has no entry for that. import.completed and "
    "assignments.recomputed in the audit trail summarise what they did."
)


class History(TypedDict):
    """A page of a customer's history, newest first, and how far back it goes."""

    items: list[HistoryEntry]
    next_cursor: str | None
    memory: HistoryMemory


class HistoryService:
    """Tells the history of customers.

    Parameters
    ----------
    describe : returns the active model's description, None while the model service is unavailable.
    deadline : seconds to wait for the reasons on a page.
    """

    def __init__(
        self,
        log: ChangeLog,
        outboxes: Outboxes,
        customers: CustomerStore,
        deleted: DeletedCustomers,
        model: Model,
        describe: Callable[[], Description | None],
        deadline: float,
    ) -> None:
        self._log = log
        self._outboxes = outboxes
        self._customers = customers
        self._deleted = deleted
        self._model = model
        self._describe = describe
        self._deadline = deadline

    def page(
        self, cust_id: str, before: int | None, limit: int, *, explain: bool = False
    ) -> tuple[Page[HistoryEntry, str], HistoryMemory]:
        """Return up to `limit` entries, newest first, with positions lower than `before`.

        Entries that still wait to be moved into the log are moved first. Of a deleted customer there is a history as
        long as it can be restored or the log remembers it.

        Raises
        ------
        CustomerNotFound
            nothing is known of the customer.
        StoreError
        """
        if before is None:
            self._outboxes.move_of(cust_id)
        found = self._log.of_customer(cust_id, before, limit + 1)
        if not found and before is None and not self._known(cust_id):
            raise CustomerNotFound(cust_id)
        names = names_in(self._describe()) if found else {}
        page: Page[Logged, str] = Page.of(found, limit, lambda entry: str(entry["position"]))
        items = [_shown(entry, names) for entry in page.items]
        if explain:
            self._explain(cust_id, found, items)
        return Page(items, page.end), _memory(self._log.memory())

    def _known(self, cust_id: str) -> bool:
        return (self._customers.get(cust_id) or self._deleted.get(cust_id)) is not None

    def _explain(self, cust_id: str, found: Sequence[Logged], items: Sequence[HistoryEntry]) -> None:
        reasons = Reasons(self._model, self._deadline)
        for place, item in enumerate(items):
            why = reasons.why(found[place], self._older(cust_id, found, place))
            if why is not None and "code" in why:
                item["why_unavailable"] = cast(WhyUnavailable, why)
            elif why is not None:
                item["why"] = why
                _remark(item)

    def _older(self, cust_id: str, found: Sequence[Logged], place: int) -> Iterator[Logged]:
        """Yield the entries before one of those `found`; those beyond are only read if anybody wants them."""
        yield from found[place + 1 :]
        yield from self._log.of_customer(cust_id, found[-1]["position"], _LOOKED_BACK)


def _remark(item: HistoryEntry) -> None:
    segment = item["segment"]
    if segment and segment["from_model_version"] not in (None, segment["model_version"]):
        version = segment["from_model_version"]
        item["remark"] = (
            f"Before, model version {version} had placed the customer: that may have had a part in the move."
        )


def _memory(memory: Memory) -> HistoryMemory:
    return HistoryMemory(since=memory.since, values_since=memory.values_since, digests=DIGESTS)


def _shown(entry: Logged, names: Mapping[str, str]) -> HistoryEntry:
    values = entry.get("values") if entry.get("fields") else {}
    item = HistoryEntry(
        seq=entry.get("seq"),
        at=entry["at"],
        type=entry["type"],
        cause=entry["cause"],
        actor=entry["actor"],
        by=entry["by"],
        request_id=entry["request_id"],
        before=entry["before"],
        after=entry["after"],
        created_at=entry.get("created_at"),
        fields=entry.get("fields", []),
        values=None if values is None else {name: _value_change(pair) for name, pair in values.items()},
        segment=_move(entry["segment"], names) if "segment" in entry else None,
    )
    was = entry.get("data", {}).get("was")
    if was is not None:
        item["was"] = NamedSegment(id=was, name=names.get(was))
    return item


def _value_change(pair: Sequence[Any]) -> ValueChange:
    return ValueChange(before=pair[0], after=pair[1])


def _move(change: SegmentChange, names: Mapping[str, str]) -> HistoryMove:
    def named(segment_id: str | None) -> NamedSegment | None:
        return NamedSegment(id=segment_id, name=names.get(segment_id)) if segment_id is not None else None

    confidence = change["confidence"]
    return {
        "from": named(change["from"]),
        "from_since": change["from_since"],
        "from_model_version": change.get("from_model_version"),
        "to": named(change["to"]),
        "confidence": confidence,
        "borderline": None if confidence is None else confidence < BORDERLINE,
        "rival": named(change["rival"]),
        "model_version": change["model_version"],
    }
