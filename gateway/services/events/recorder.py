"""Writes down what is changed beside the customers, whose changes travel in their own documents.

What the database changes is recorded in the same transaction (`Recorder.note`). What the model service changes cannot
be: there an order is written down before the call, and becomes the entry after it (`Recorder.order`). An order stays
where nobody can know whether it was carried out, because the process died, or the database or the model service gave no
clear answer; then the worker finds out, or records that nobody knows (`services.models.activations`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Unpack, cast

from gateway.services.clock import now
from gateway.services.errors import SegmentationError, is_refusal
from gateway.services.events.change import Actor, ChangeType, Entry, EntryDetails, Origin, Subject, SubjectType
from gateway.services.events.log import Orders, Outboxes
from gateway.services.principal import Principal

LONGEST_BY = 200
"""Characters of a name that the model service takes."""


class Recorder:
    """Writes changes down for the services that make them, which need not know who wants them.

    Parameters
    ----------
    origin : says where the change that is being made comes from.
    """

    def __init__(self, outboxes: Outboxes, orders: Orders, origin: Callable[[], Origin]) -> None:
        self._outboxes = outboxes
        self._orders = orders
        self.origin = origin

    def for_later(self) -> Recorder:
        """Return a recorder for what goes on after this request has ended, with the origin as it is now."""
        origin = self.origin()
        return Recorder(self._outboxes, self._orders, lambda: origin)

    def on_behalf_of(self, actor: Actor) -> Recorder:
        """Return a recorder for what somebody else began; it knows neither the request nor the address."""
        caller = Principal(actor["kind"], actor["id"], actor["name"], frozenset())  # type: ignore[arg-type]  # one of them
        return Recorder(self._outboxes, self._orders, lambda: Origin(caller))

    def signed(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return an order for the model service, with the caller's name as its ``by`` unless it names somebody."""
        caller = self.origin().caller
        name = "".join(letter if letter.isprintable() else " " for letter in caller.name)
        return {"by": name[:LONGEST_BY].strip() or caller.id[:LONGEST_BY], **order}

    def entry(
        self, type_: ChangeType, subject_type: SubjectType, subject: str | None, **details: Unpack[EntryDetails]
    ) -> Entry:
        """Return the entry of a change that is made now."""
        return entry_of(self.origin(), type_, Subject(type=subject_type, id=subject), **details)

    def note(
        self, type_: ChangeType, subject_type: SubjectType, subject: str | None, **details: Unpack[EntryDetails]
    ) -> None:
        """Write down what happens in the same transaction, or, without one, what has happened already.

        Raises
        ------
        StoreError
        """
        self._outboxes.add([self.entry(type_, subject_type, subject, **details)])

    @contextmanager
    def order(
        self, type_: ChangeType, subject_type: SubjectType, subject: str | None, **details: Unpack[EntryDetails]
    ) -> Iterator[Entry]:
        """Write an order down, then let the model service carry it out in a ``with`` block; its end is the entry.

        What becomes known in the block can be added to the entry. The order is taken back if the block raises an error
        that says for sure that nothing was changed (`is_refusal`).

        Raises
        ------
        StoreError
            also when the order cannot be written down: the block is not entered.
        """
        with self.announced(type_, subject_type, subject, **details) as entry:
            yield entry
        self._orders.carried_out(entry)

    @contextmanager
    def announced(
        self, type_: ChangeType, subject_type: SubjectType, subject: str | None, **details: Unpack[EntryDetails]
    ) -> Iterator[Entry]:
        """Do as `order` does, but for the entry: the caller sees to what came of the order."""
        entry = self.entry(type_, subject_type, subject, **details)
        entry["id"] = secrets.token_hex(16)
        self._orders.place(entry)
        try:
            yield entry
        except SegmentationError as error:
            if is_refusal(error):
                self._orders.withdraw([entry["id"]])
            raise


def entry_of(origin: Origin, type_: ChangeType, subject: Subject, **details: Unpack[EntryDetails]) -> Entry:
    """Return the entry of a change that is made now."""
    members = {
        "at": now(),
        "type": type_,
        "cause": None,
        "actor": origin.actor,
        "by": None,
        "request_id": origin.request_id,
        "address": origin.address,
        "before": None,
        "after": None,
        "subject": subject,
        **details,
    }
    return cast(Entry, members)


def named(order: Mapping[str, Any]) -> str | None:
    """Return whom an order names as the person behind it, which an entry keeps beside the caller."""
    by = order.get("by")
    return by[:LONGEST_BY] if isinstance(by, str) else None
