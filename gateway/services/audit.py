"""Who changed what, when, and from where: written down so that no change goes unaudited.

A change of several documents is a transaction, and its entry is part of it (`Auditor.note`). The entry of any other
change is written before it (`Auditor.change`).

Single changes and the rows of a batch have an entry each; an import has one at its start and one at its end. What the
worker does (segments by the active model, erasures carried on) is nobody's decision and is not audited.

An entry that was written but whose change did not come about is taken back. It stays only where nobody can know: the
process died, or the database or the model service gave no clear answer. Such an entry says what was about to happen;
whether it did, the subject itself tells. Activations are an exception: there the worker finds out
(`services.models.activations`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import compress
from typing import Any, Literal, NamedTuple, Protocol, TypedDict

from gateway.services.errors import SegmentationError, is_refusal
from gateway.services.events.change import Actor as Actor
from gateway.services.events.change import Origin, Subject, SubjectType
from gateway.services.principal import Principal

Action = Literal[
    "customer.created",
    "customer.replaced",
    "customer.patched",
    "customer.deleted",
    "customer.restored",
    "customer.erased",
    "customer.rescored",
    "import.started",
    "import.ended",
    "segment.labelled",
    "model.activated",
    "model.rolled_back",
    "training.started",
    "training.cancelled",
    "api_key.created",
    "api_key.rotated",
    "api_key.revoked",
]


class AuditEntry(TypedDict):
    """One change.

    ``before`` and ``after`` are the revisions of a customer, or the versions of the model that were active; null where
    there is none, and both of an activation while nobody knows what came of it. ``by`` is whom the caller named as the
    person behind it. ``address`` is the network address that the request came from. ``erased`` says that the customer
    has been erased since.
    """

    id: str
    at: datetime
    actor: Actor
    action: Action
    subject: Subject
    before: str | None
    after: str | None
    by: str | None
    request_id: str | None
    address: str | None
    erased: bool


def id_since(moment: datetime) -> str:
    """Return what the ids of entries made at `moment` (UTC) begin with; later ones are greater, as text."""
    return f"{max((moment - _EPOCH) // timedelta(microseconds=1), 0):015x}"


_EPOCH = datetime(1970, 1, 1)


class AuditFilters(NamedTuple):
    """Which entries are asked for; None where it does not matter. ``since`` is inclusive, ``until`` is not."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditTrail(Protocol):
    """Entries, kept durably for as long as they are wanted. Every method may raise `StoreError`."""

    @property
    def name(self) -> str:
        """What the receipt of an erasure calls it."""

    def term(self) -> object:
        """Return a value that changes when the database elects another primary; asks nobody."""

    def record(self, entries: Sequence[AuditEntry], *, durably: bool) -> None:
        """Write entries down, over those with the same ids.

        In a transaction they are new, and part of it. Without `durably` they are new as well, and last only if a
        durable write to the same database follows in the same term.
        """

    def add(self, entries: Sequence[AuditEntry]) -> int:
        """Write those entries down, durably, whose ids are not there yet; return how many they were."""

    def orders(self, actions: Sequence[Action]) -> list[AuditEntry]:
        """Return the entries of these actions that have no ``after``: nobody knows yet what came of them."""

    def withdraw(self, ids: Sequence[str]) -> None:
        """Take entries back."""

    def page(self, filters: AuditFilters, before: str | None, limit: int) -> list[AuditEntry]:
        """Return up to `limit` entries, newest first, that are older than the one whose id is `before`."""

    def erase(self, cust_id: str) -> int:
        """Remove the customer's id from its entries; return how many there were. All else of them stays."""


LONGEST_BY = 200
"""Characters of a name that the model service takes."""


class Change(NamedTuple):
    """What is about to be changed; see `AuditEntry`."""

    action: Action
    subject_type: SubjectType
    subject: str | None
    before: str | None = None
    after: str | None = None
    by: str | None = None


class Announced:
    """Changes that have been written down and are being made."""

    def __init__(self, entries: list[AuditEntry]) -> None:
        self.entries = entries
        self.withdrawn: list[str] = []
        self.amended = False

    def refused(self, subjects: Container[str | None] | None = None) -> None:
        """Take back the entries of these subjects, or all of them: nothing was changed there."""
        gone = [subjects is None or entry["subject"]["id"] in subjects for entry in self.entries]
        self.withdrawn += [entry["id"] for entry in compress(self.entries, gone)]
        self.entries = [entry for entry, is_gone in zip(self.entries, gone, strict=True) if not is_gone]

    def turned_out(self, entries: list[AuditEntry]) -> None:
        """Put other entries in the place of all these: what the one who made the changes says has happened."""
        self.withdrawn += [entry["id"] for entry in self.entries]
        self.entries, self.amended = entries, True

    def became(self, *, subject: str | None = None, after: str | None = None) -> None:
        """Add to the only entry what nobody could know beforehand."""
        (entry,) = self.entries
        entry["subject"]["id"] = subject or entry["subject"]["id"]
        entry["after"] = after or entry["after"]
        self.amended = True


class Auditor:
    """Writes changes down for the services that make them, which need not know who wants them.

    Parameters
    ----------
    origin : says where the change that is being made comes from.
    """

    def __init__(self, trail: AuditTrail, origin: Callable[[], Origin]) -> None:
        self._trail = trail
        self._origin = origin

    def for_later(self) -> Auditor:
        """Return an auditor for what goes on after this request has ended, with the origin as it is now."""
        origin = self._origin()
        return Auditor(self._trail, lambda: origin)

    def on_behalf_of(self, actor: Actor) -> Auditor:
        """Return an auditor for what somebody else began; it knows neither the request nor the address."""
        caller = Principal(actor["kind"], actor["id"], actor["name"], frozenset())  # type: ignore[arg-type]  # one of them
        return Auditor(self._trail, lambda: Origin(caller))

    def signed(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return an order for the model service, with the caller's name as its ``by`` unless it names somebody."""
        caller = self._origin().caller
        name = "".join(letter if letter.isprintable() else " " for letter in caller.name)
        return {"by": name[:LONGEST_BY].strip() or caller.id[:LONGEST_BY], **order}

    @contextmanager
    def change(self, *changes: Change, elsewhere: bool = False) -> Iterator[Announced]:
        """Write changes down, then let them be made in a ``with`` block.

        Where the block raises an error that says for sure that nothing was changed (`is_refusal`), the entries are
        taken back; where a store says so by what it returns, call `Announced.refused`.

        Parameters
        ----------
        elsewhere : the change is made in the model service, so that the entries must be durable at once. Otherwise a
            durable write to the same database makes the change, and with it the entries durable.

        Raises
        ------
        StoreError
            the entries cannot be written: the block is not entered.
        """
        announced = Announced(entries_of(changes, self._origin()))
        term = self._trail.term()
        self._trail.record(announced.entries, durably=elsewhere)
        try:
            yield announced
        except SegmentationError as error:
            if is_refusal(error):
                self._trail.withdraw([entry["id"] for entry in announced.entries])
            raise
        # The primary that took the entries may have stepped down, and lost them, before the change was made.
        if announced.amended or self._trail.term() != term:
            self._trail.record(announced.entries, durably=True)
        if announced.withdrawn:
            self._trail.withdraw(announced.withdrawn)

    def note(self, *changes: Change) -> None:
        """Write down what happens in the same transaction, or what has happened already, such as an import's end."""
        self._trail.record(entries_of(changes, self._origin()), durably=True)

    def note_once(self, change: Change, entry_id: Callable[[str], str]) -> None:
        """Write down what has happened already, where others may do so as well, such as the end of an import.

        Parameters
        ----------
        entry_id : returns the id of the entry that all of them write, given a new one.
        """
        (entry,) = entries_of([change], self._origin())
        entry["id"] = entry_id(entry["id"])
        self._trail.record([entry], durably=True)


def named(order: Mapping[str, Any]) -> str | None:
    """Return whom an order names as the person behind it, which an entry keeps beside the caller."""
    by = order.get("by")
    return by[:LONGEST_BY] if isinstance(by, str) else None


def entries_of(changes: Sequence[Change], origin: Origin) -> list[AuditEntry]:
    """Return the entries of changes that are made now; their ids sort as the times and the changes do."""
    moment = datetime.now(UTC).replace(tzinfo=None)
    at = moment.replace(microsecond=moment.microsecond // 1000 * 1000)  # as it comes back from MongoDB
    caller = origin.caller
    return [
        AuditEntry(
            id=f"{id_since(moment)}{place:03x}{secrets.token_hex(7)}",
            at=at,
            actor=Actor(kind=caller.kind, id=caller.id, name=caller.name),
            action=change.action,
            subject=Subject(type=change.subject_type, id=change.subject),
            before=change.before,
            after=change.after,
            by=change.by,
            request_id=origin.request_id,
            address=origin.address,
            erased=False,
        )
        for place, change in enumerate(changes)
    ]
