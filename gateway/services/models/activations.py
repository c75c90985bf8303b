"""Activating a version of the model and rolling back, with entries in the change log.

An entry says what the model store says has happened: which version was active before and after, under the store's
lock, and in which order. What happens without an answer here (the gateway dies, the answer is late, somebody uses the
command line, or a training activates what it made) is in the store's history all the same. So the entries are made of
that history alone, by a gateway right after its order, else by the worker: who adds entries moves the mark up to which
it has been recorded, in one transaction.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile

from gateway.services.clock import now
from gateway.services.errors import SegmentationError
from gateway.services.events.change import ALREADY_ACTIVE, Actor, ChangeType, Entry, Subject
from gateway.services.events.log import Orders, Outboxes
from gateway.services.events.recorder import Recorder, named
from gateway.services.models.registry import ModelRegistry, Payload
from gateway.services.transactions import Transactions
from shared.model_contract import Activation

log = logging.getLogger(__name__)

TYPES: Mapping[str, ChangeType] = {"activate": "model.activated", "rollback": "model.rolled_back"}
LOOK_SECONDS = 5.0
ORDER_MINUTES = 10
"""An order that has not been carried out by then never will be."""


class ModelHistory:
    """Brings into the change log what has happened in the model store. One of the worker's duties."""

    def __init__(
        self,
        registry: ModelRegistry,
        outboxes: Outboxes,
        orders: Orders,
        transactions: Transactions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._outboxes = outboxes
        self._orders = orders
        self._transactions = transactions
        self._clock = clock
        self._next_look = 0.0

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Do as `record`, every few seconds, and settle what orders are left; return how many entries were added.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        if self._clock() < self._next_look:
            return 0
        self._next_look = self._clock() + LOOK_SECONDS
        added, types, given_up = self.record(), tuple(TYPES.values()), now() - timedelta(minutes=ORDER_MINUTES)
        self._orders.withdraw([order["id"] for order in self._orders.of(types) if order["at"] < given_up])
        return added + self._orders.give_up(given_up, types)

    def record(self) -> int:
        """Add entries of what has happened since the last one; return how many those are.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        while (added := self._record()) is None:
            pass  # another process has recorded some of it meanwhile
        return added

    def _record(self) -> int | None:
        last = self._orders.last_seen()
        # Newest first. Those without an id are older than any log.
        new = [*takewhile(lambda event: event.get("id") not in (None, last), self._registry.activations()["items"])]
        if not new:
            return 0
        # After the history: what is in it was ordered before.
        orders = {order["id"]: order for order in self._orders.of(tuple(TYPES.values()))}
        entries = [event_entry(event, orders.get(event["id"])) for event in reversed(new)]
        return self._transactions.run(partial(self._add, entries, [event["id"] for event in new], last))

    def _add(self, entries: Sequence[Entry], events: Sequence[str], last: str | None) -> int | None:
        if not self._orders.see(events[0], last):
            return None
        self._outboxes.add(entries)
        self._orders.withdraw(events)
        return len(entries)


class ActivationService:
    """Decides which version of the model is active. What a payload may say is for the model service to judge."""

    def __init__(self, registry: ModelRegistry, recorder: Recorder, orders: Orders, history: ModelHistory) -> None:
        self._registry = registry
        self._recorder = recorder
        self._orders = orders
        self._history = history

    def activate(self, version: str, payload: Payload) -> Activation:
        """Make a version the active one; ``by`` is the caller's name unless the payload has one.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        order = self._recorder.signed(payload)
        return self._made("model.activated", payload, lambda event: self._registry.activate(version, order, event))

    def roll_back(self, payload: Payload) -> Activation:
        """Make the previously active version the active one; ``by`` as in `activate`.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        order = self._recorder.signed(payload)
        return self._made("model.rolled_back", payload, lambda event: self._registry.roll_back(order, event))

    def _made(self, type_: ChangeType, payload: Payload, make: Callable[[str], Activation]) -> Activation:
        """Write the order down, carry it out, and record what came of it."""
        with self._recorder.announced(type_, "model", None, by=named(payload)) as order:
            activation = make(order["id"])
        if activation.get("id") != order["id"]:  # the answer is about an earlier one: the version was active already
            self._was_active(order, activation["version"], payload.get("reason"))
            return activation
        try:
            self._history.record()
        except SegmentationError as error:
            log.warning("the worker will log the activation of version %s: %s", activation["version"], error)
        return activation

    def _was_active(self, order: Entry, version: str, reason: object) -> None:
        """Keep the reason that somebody gave, if they did; there is nothing else to record."""
        if not reason:
            self._orders.withdraw([order["id"]])
            return
        order["subject"], order["before"], order["after"] = Subject(type="model", id=version), version, version
        self._orders.carried_out({**order, "data": {**ALREADY_ACTIVE, "reason": reason}})


def event_entry(event: Activation, order: Entry | None) -> Entry:
    """Return the entry of an event in the model store's history, which has an id and a number.

    Parameters
    ----------
    order : the order that brought it about, if that came through a gateway.
    """
    at = _moment(event)
    return Entry(
        id=event_id(event),
        at=at,
        type=TYPES[event["kind"]],
        cause=None,
        actor=order["actor"] if order else Actor(kind="system", id="model-store", name=event["by"]),
        by=order["by"] if order else event["by"],
        request_id=order["request_id"] if order else None,
        address=order["address"] if order else None,
        before=event.get("before"),
        after=event["version"],
        subject=Subject(type="model", id=event["version"]),
        data={"reason": event["reason"], "forced": event["forced"]},
    )


def event_id(event: Activation) -> str:
    """Return the id of an event's entry, which the audit trail of earlier versions gave it, too."""
    moment = (_moment(event) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    digest = hashlib.sha256(event["id"].encode()).hexdigest()
    return f"{moment:015x}{event['number'] % 4096:03x}{digest[:14]}"


def _moment(event: Activation) -> datetime:
    return datetime.fromisoformat(event["at"]).astimezone(UTC).replace(tzinfo=None)
