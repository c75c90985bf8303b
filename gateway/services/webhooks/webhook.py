"""A webhook and its deliveries as they are stored, and the ports of their stores and of whoever receives them.

A webhook is a place in the change log: its ``cursor`` is the number of the last event that it is done with, as in the
feed (`services.events.feed`), and what follows is still to be delivered. There is no queue beside the log. A delivery
is what is noted of one event that was sent; it has the number of the event and nothing of what the event says.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, TypedDict

from gateway.services.events.feed import EventType

WebhookStatus = Literal["active", "paused", "disabled"]
DeliveryKind = Literal["event", "replay", "test"]
DeliveryStatus = Literal["waiting", "retrying", "delivered", "failed"]
Outcome = Literal["accepted", "refused", "gone", "unreachable"]

TEST: Final = "webhook.test"
"""The type of what a test delivers; it is no event of the feed."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events are delivered to, and how far that is.

    Attributes
    ----------
    types : the types of events that are wanted; None for all.
    status : ``paused`` by a person, ``disabled`` by the service for the ``reason``.
    cursor : the number of the last event that has been delivered or passed over.
    nonce : what the signing secret is derived from, with the installation's secret of this ``mark``.
    old_nonce, old_until : that of the secret before the last rotation, and until when it signs beside the new one.
    attempts : how often the event after the cursor has been sent in vain.
    failing_since : when its first attempt failed.
    retry_at : not before this time it is sent again.
    delivery : the id of its delivery.
    delivered_at : when an event was last accepted.
    """

    id: str
    url: str
    description: str
    types: tuple[EventType, ...] | None
    status: WebhookStatus
    reason: str | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    cursor: int
    nonce: str
    mark: str
    old_nonce: str | None = None
    old_until: datetime | None = None
    attempts: int = 0
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    delivery: str | None = None
    delivered_at: datetime | None = None


class WebhookChange(TypedDict, total=False):
    """The members of a webhook that change; see `Webhook`."""

    url: str
    description: str
    types: tuple[EventType, ...] | None
    status: WebhookStatus
    reason: str | None
    updated_at: datetime
    cursor: int
    nonce: str
    mark: str
    old_nonce: str | None
    old_until: datetime | None
    attempts: int
    failing_since: datetime | None
    retry_at: datetime | None
    delivery: str | None
    delivered_at: datetime | None


AFRESH: Final[WebhookChange] = {"attempts": 0, "failing_since": None, "retry_at": None, "delivery": None}
"""How it stands where the event after the cursor has not been sent yet."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known of sending an event to a webhook, or of sending it again, or of a test.

    Attributes
    ----------
    id : in the order of time.
    event : the event's number; None for a test.
    type : the event's type.
    about : where there is an ``answer`` to an event about a customer, keyed hash of the CUST_ID, by which an erasure
        finds it.
    status : ``waiting`` to be sent, ``retrying`` until it is accepted, ``delivered``, or ``failed`` for good.
    at : when it was last sent.
    detail : what came of that, in words.
    answer_status, answer : the status that the receiver answered with, and where it did not accept the event, the
        beginning of its text.
    seconds : how long that took.
    """

    id: str
    webhook_id: str
    kind: DeliveryKind
    event: int | None
    type: str
    status: DeliveryStatus
    created_at: datetime
    about: str | None = None
    attempts: int = 0
    at: datetime | None = None
    detail: str | None = None
    answer_status: int | None = None
    answer: str = ""
    seconds: float | None = None
    retry_at: datetime | None = None


def new_delivery_id() -> str:
    """Return an id that comes after those of earlier milliseconds."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


class WebhookStore(Protocol):
    """Webhooks, kept durably. Every method may raise `StoreError`.

    `insert`, `change`, `delete` and `advance` take part in transactions.
    """

    def insert(self, webhook: Webhook) -> None:
        """Store a new webhook."""

    def get(self, webhook_id: str) -> Webhook | None:
        """Return one webhook, or None."""

    def page(self, after: str | None, limit: int) -> list[Webhook]:
        """Return up to `limit` webhooks with ids greater than `after`, in the order of their ids."""

    def change(self, webhook_id: str, members: WebhookChange) -> Webhook | None:
        """Give a webhook new members; return it as it is then, or None where there is none."""

    def delete(self, webhook_id: str) -> bool:
        """Forget a webhook; return whether there was one."""

    def claim(self, webhook_id: str, worker: str, seconds: float) -> Webhook | None:
        """Let a worker alone deliver for so long, unless another one may; return the webhook if it may.

        Whoever may already, may for so long from now on.
        """

    def advance(self, webhook: Webhook, worker: str, seconds: float, members: WebhookChange) -> Webhook | None:
        """Give a webhook new members, and the worker that may deliver so much time from now on.

        Return it as it is then. None, and nothing is changed, where the worker may not deliver any more, or somebody
        has moved the cursor away from that of `webhook`.
        """


class DeliveryStore(Protocol):
    """The log of deliveries, for some days. Every method may raise `StoreError`."""

    def put(self, delivery: Delivery) -> None:
        """Store a delivery, in the place of the one with its id."""

    def get(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        """Return one delivery of a webhook, or None."""

    def page(self, webhook_id: str, status: DeliveryStatus | None, before: str | None, limit: int) -> list[Delivery]:
        """Return up to `limit` deliveries, newest first, with ids lower than `before`; those of a status, or all."""

    def waiting(self) -> Sequence[str]:
        """Return the ids of the webhooks for which a delivery waits that nobody is sending."""

    def take(self, webhook_id: str, seconds: float) -> Delivery | None:
        """Return the oldest delivery that waits; for so long nobody else gets it. None where none waits."""

    def give_up(self, webhook_id: str) -> None:
        """Let the delivery that is to be tried again count as failed."""

    def erase(self, about: str) -> int:
        """Remove what receivers answered about a customer, and whom it was about; return how many deliveries had it."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: its id is the same whenever it is sent again, so that a receiver can tell."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of sending a message.

    Attributes
    ----------
    outcome : ``gone`` says that the receiver wants no more; ``unreachable``, that there was no whole answer.
    detail : the same in words, for people.
    text : the beginning of what a receiver says that does not accept it.
    retry_after : seconds after which the receiver would like it again, where it says so.
    """

    outcome: Outcome
    detail: str
    seconds: float
    status: int | None = None
    text: str = ""
    retry_after: float | None = None


class Receiver(Protocol):
    """Whoever is at a webhook's address."""

    def send(self, url: str, message: Message, signing_secrets: Sequence[str]) -> Receipt:
        """Send a message, signed with each of the secrets, and return what came of it. It raises no error."""
