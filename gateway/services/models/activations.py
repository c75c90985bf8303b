"""Activating a version of the model and rolling back, with entries in the audit trail.

The entry says what the model store says has happened: which version was active before and after, under the store's
lock, and in which order. What happens without an answer here (the gateway dies, the answer is late, somebody uses the
command line, or a training activates what it made) is in the store's history all the same, and the worker compares that
with the trail. The id of an entry follows from the event, so that whoever writes it down, it is there once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from gateway.services.audit import Action, Actor, AuditEntry, Auditor, AuditTrail, Change, Subject, id_since, named
from gateway.services.clock import now
from gateway.services.models.registry import ModelRegistry, Payload
from shared.model_contract import Activation

ACTIONS: Mapping[str, Action] = {"activate": "model.activated", "rollback": "model.rolled_back"}


class ActivationService:
    """Decides which version of the model is active. What a payload may say is for the model service to judge."""

    def __init__(self, registry: ModelRegistry, auditor: Auditor) -> None:
        self._registry = registry
        self._auditor = auditor

    def activate(self, version: str, payload: Payload) -> Activation:
        """Make a version the active one; ``by`` is the caller's name unless the payload has one.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        change = Change("model.activated", "model", version, by=named(payload))
        order = self._auditor.signed(payload)
        return self._made(change, lambda event: self._registry.activate(version, order, event))

    def roll_back(self, payload: Payload) -> Activation:
        """Make the previously active version the active one; ``by`` as in `activate`.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        change = Change("model.rolled_back", "model", None, by=named(payload))
        order = self._auditor.signed(payload)
        return self._made(change, lambda event: self._registry.roll_back(order, event))

    def _made(self, change: Change, make: Callable[[str], Activation]) -> Activation:
        """Write the order down, carry it out, and put in its place what came of it."""
        with self._auditor.change(change, elsewhere=True) as announced:
            (order,) = announced.entries
            activation = make(order["id"])
            if activation.get("id") == order["id"]:
                announced.turned_out([entry_of(activation, order)])
            else:
                announced.refused()  # the answer is about an earlier one: the version was active already
        return activation


def entry_of(event: Activation, order: AuditEntry | None) -> AuditEntry:
    """Return the entry of an event in the model store's history, which has an id and a number.

    Parameters
    ----------
    order : the entry of the order that brought it about, if that came through a gateway.
    """
    at = _moment(event)
    digest = hashlib.sha256(event["id"].encode()).hexdigest()
    actor = order["actor"] if order else Actor(kind="system", id="model-store", name=event["by"])
    return AuditEntry(
        id=f"{id_since(at)}{event['number'] % 4096:03x}{digest[:14]}",
        at=at,
        actor=actor,
        action=ACTIONS[event["kind"]],
        subject=Subject(type="model", id=event["version"]),
        before=event.get("before"),
        after=event["version"],
        by=order["by"] if order else event["by"],
        request_id=order["request_id"] if order else None,
        address=order["address"] if order else None,
        erased=False,
    )


def _moment(event: Activation) -> datetime:
    return datetime.fromisoformat(event["at"]).astimezone(UTC).replace(tzinfo=None)


LOOK_SECONDS = 5.0

ORDER_MINUTES = 10
"""An order that the store has not carried out by then never will be."""


class ActivationAudit:
    """Brings into the audit trail what has happened in the model store. One of the worker's duties.

    Parameters
    ----------
    days : how long the trail keeps entries.
    """

    def __init__(
        self, registry: ModelRegistry, trail: AuditTrail, days: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._trail = trail
        self._kept = timedelta(days=days)
        self._clock = clock
        self._next_look = 0.0
        self._latest: str | None = None

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Compare the store's history with the trail; return how many entries were missing.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        if self._clock() < self._next_look:
            return 0
        self._next_look = self._clock() + LOOK_SECONDS
        # The orders come first: one that a gateway takes back after this has its entry by the time that is looked for.
        orders = {order["id"]: order for order in self._trail.orders(tuple(ACTIONS.values()))}
        history = self._registry.activations()["items"]  # those without an id are older than this comparison
        events = [event for event in history if "id" in event and now() - _moment(event) < self._kept]
        latest = events[0]["id"] if events else None
        if latest == self._latest and not orders:
            return 0
        added = self._trail.add([entry_of(event, orders.get(event["id"])) for event in events])
        self._settle(orders, {event["id"] for event in events})
        self._latest = latest
        return added

    def _settle(self, orders: Mapping[str, AuditEntry], happened: set[str]) -> None:
        """Take back the orders that were carried out, as their events have entries, and those that never will be."""
        given_up = now() - timedelta(minutes=ORDER_MINUTES)
        settled = [name for name, order in orders.items() if name in happened or order["at"] < given_up]
        if settled:
            self._trail.withdraw(settled)
