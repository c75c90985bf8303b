"""The worker's duty that delivers events to webhooks, and what is said of it.

Each webhook goes along the change log by itself, in order, one event after the other: an event that is not accepted
is sent again, at growing intervals, before any that follows it. Each has a thread of its own, so that one whose
receiver is dead or slow holds up no other; and of several workers one delivers to a webhook, as long as it goes on
(`WebhookStore.claim`).

An event is sent at least once. What came of it is noted after it was sent: a worker that is killed in between, or whose
note the database does not take, has it sent again, with the same id, by which the receiver knows it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock, Thread
from typing import Any, Final, TypedDict

import orjson

from gateway.services.clock import now
from gateway.services.errors import CursorExpired
from gateway.services.events.change import Actor
from gateway.services.events.feed import Event, Events, FeedService, position_of
from gateway.services.events.recorder import Recorder
from gateway.services.transactions import Transactions
from gateway.services.webhooks.signing import Signing
from gateway.services.webhooks.webhook import (
    AFRESH,
    TEST,
    Delivery,
    DeliveryStore,
    Message,
    Receipt,
    Receiver,
    Webhook,
    WebhookChange,
    WebhookStore,
    new_delivery_id,
)
from gateway.services.webhooks.webhooks import MOST_WEBHOOKS

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""Between two looks for what is to be delivered."""
FIRST_RETRY: Final = 5.0
LONGEST_RETRY: Final = 3600.0
"""Seconds until an event is sent for the second time, and at most between two attempts; each time twice as many."""
BATCH: Final = 500
SPARE_SECONDS = 5.0
"""For what a worker does beside waiting for a receiver, before another may take its webhook over."""
_OTHER_KEY: Final = (
    "Its secret cannot be derived any more, because GATEWAY_SECRET_KEY is another one than when it was made. Rotate "
    "its secret, give the receiver the new one, and activate it."
)
_WORKER: Final = Actor(kind="system", id="worker", name="worker")


class WebhookDeliveries:
    """Delivers events, tests, and what is to be sent once more.

    Parameters
    ----------
    digest : makes the hash that stands for a CUST_ID.
    worker : the name of this worker, which no other has.
    timeout : seconds that a receiver has.
    give_up : for how long an event is sent in vain until the webhook is disabled.
    retry : makes the seconds until an event is sent again, from how often it has been sent.
    """

    def __init__(
        self,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        feed: FeedService,
        receiver: Receiver,
        signing: Signing,
        digest: Callable[[str], str],
        transactions: Transactions,
        recorder: Recorder,
        worker: str,
        timeout: float,
        give_up: timedelta,
        retry: Callable[[int], float] = lambda attempts: retry_seconds(attempts),
    ) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._feed = feed
        self._receiver = receiver
        self._signing = signing
        self._digest = digest
        self._transactions = transactions
        self._recorder = recorder.on_behalf_of(_WORKER)
        self._worker = worker
        self._lease = timeout + SPARE_SECONDS
        self._give_up = give_up
        self._retry = retry
        self._going_on: dict[tuple[str, str], Thread] = {}
        self._failures: list[Exception] = []
        self._lock = Lock()

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Begin to deliver what there is, and wait for none of it; return for how many webhooks.

        Raises
        ------
        StoreError
            what stopped one of those that were begun before, or the look itself.
        """
        with self._lock:
            failures, self._failures = self._failures, []
        if failures:
            raise failures[0]
        head, at = self._feed.now(), now()
        begun = 0
        for webhook in self._webhooks.page(None, MOST_WEBHOOKS):
            if webhook.cursor < head and _is_due(webhook, at):
                begun += self._begin("events", webhook.id, self._deliver_events)
        for webhook_id in self._deliveries.waiting():
            begun += self._begin("wanted", webhook_id, self._deliver_wanted)
        return begun

    def wait(self) -> None:
        """Wait until what was begun has ended."""
        for thread in self._threads():
            thread.join()

    def _threads(self) -> Iterable[Thread]:
        with self._lock:
            return [*self._going_on.values()]

    def _begin(self, kind: str, webhook_id: str, work: Callable[[str], None]) -> bool:
        """Do some work in a thread, unless it is still going on; return whether it was begun."""
        key = (kind, webhook_id)

        def run() -> None:
            try:
                work(webhook_id)
            except Exception as error:  # noqa: BLE001  # raised at the next look
                with self._lock:
                    self._failures.append(error)
            finally:
                with self._lock:
                    del self._going_on[key]

        with self._lock:
            if key in self._going_on:
                return False
            # A daemon, so that a worker that is told to stop does not wait for a receiver.
            thread = Thread(target=copy_context().run, args=[run], daemon=True, name=f"webhook-{kind}")
            self._going_on[key] = thread
        thread.start()
        return True

    # ---- events, in their order ---------------------------------------------------------------------------------

    def _deliver_events(self, webhook_id: str) -> None:
        webhook = self._webhooks.claim(webhook_id, self._worker, self._lease)
        while webhook is not None and _is_due(webhook, now()):
            events = self._next(webhook)
            webhook = self._deliver_some(webhook, events) if events else None

    def _next(self, webhook: Webhook) -> Events | None:
        """Return the events that follow; None where it cannot go on, and is disabled."""
        if webhook.mark != self._signing.mark:
            self._disable(webhook, _OTHER_KEY, {})
            return None
        try:
            return self._feed.after(webhook.cursor, webhook.types, BATCH, 0.0)
        except CursorExpired as error:
            self._disable(webhook, _expired(error), {})
            return None

    def _deliver_some(self, webhook: Webhook, events: Events) -> Webhook | None:
        """Send events; return the webhook where there may be others to send."""
        types = webhook.types
        for event in events.items:
            done = self._deliver(webhook, event)
            if done is None or done.cursor != int(event["id"]):
                return None
            webhook = done
            if webhook.status != "active" or webhook.types != types:
                return webhook
        if webhook.cursor < events.end:
            passed = self._webhooks.advance(webhook, self._worker, self._lease, {"cursor": events.end})
            return passed if events.more else None
        return webhook if events.more else None

    def _deliver(self, webhook: Webhook, event: Event) -> Webhook | None:
        """Send an event; return the webhook as it is then, or None where it is not this worker's any more."""
        at = now()
        receipt = self._send(webhook, _message(event))
        delivery = Delivery(
            id=webhook.delivery or new_delivery_id(),
            webhook_id=webhook.id,
            kind="event",
            event=int(event["id"]),
            type=event["type"],
            status="delivered",
            created_at=webhook.failing_since or at,
        )
        if receipt.outcome == "accepted":
            self._keep(_sent(delivery, at, receipt, webhook.attempts), event)
            done: WebhookChange = {**AFRESH, "cursor": int(event["id"]), "delivered_at": now()}
            return self._webhooks.advance(webhook, self._worker, self._lease, done)
        return self._in_vain(webhook, event, _sent(delivery, at, receipt, webhook.attempts), receipt)

    def _in_vain(self, webhook: Webhook, event: Event, delivery: Delivery, receipt: Receipt) -> Webhook | None:
        """Note when the event is sent again, or that it is not."""
        since, attempts = webhook.failing_since or delivery.created_at, webhook.attempts + 1
        noted: WebhookChange = {"attempts": attempts, "failing_since": since, "delivery": delivery.id}
        if receipt.outcome == "gone" or now() - since >= self._give_up:
            self._keep(replace(delivery, status="failed"), event)
            given_up = f"No event has been accepted for {_in_words(self._give_up)}; what came of the last attempt: "
            ended = "The receiver wants no more events: it answered "
            reason = f"{ended if receipt.outcome == 'gone' else given_up}{receipt.detail.removesuffix('.')}."
            return self._disable(webhook, reason, noted)
        seconds = max(self._retry(attempts), min(receipt.retry_after or 0.0, LONGEST_RETRY))
        retry_at = now() + timedelta(seconds=seconds)
        self._keep(replace(delivery, status="retrying", retry_at=retry_at), event)
        return self._webhooks.advance(webhook, self._worker, self._lease, {**noted, "retry_at": retry_at})

    def _disable(self, webhook: Webhook, reason: str, noted: WebhookChange) -> Webhook | None:
        def work() -> Webhook | None:
            members: WebhookChange = {**noted, "status": "disabled", "reason": reason, "retry_at": None}
            disabled = self._webhooks.advance(webhook, self._worker, self._lease, members)
            if disabled is not None:
                self._recorder.note("webhook.disabled", "webhook", webhook.id, data={"reason": reason})
            return disabled

        log.warning("webhook %s is disabled", webhook.id)
        return self._transactions.run(work)

    # ---- tests, and events that are to be sent once more --------------------------------------------------------

    def _deliver_wanted(self, webhook_id: str) -> None:
        while (delivery := self._deliveries.take(webhook_id, self._lease)) is not None:
            self._deliver_one(delivery)

    def _deliver_one(self, delivery: Delivery) -> None:
        """Send what somebody wants to be sent; it is tried once."""
        webhook, event = self._webhooks.get(delivery.webhook_id), None
        if webhook is None:
            self._deliveries.put(replace(delivery, status="failed", detail="The webhook has been deleted."))
            return
        if delivery.event is not None:
            try:
                event = self._event(delivery.event)
            except CursorExpired:
                self._deliveries.put(replace(delivery, status="failed", detail="The event is not kept any more."))
                return
        if webhook.mark != self._signing.mark:
            self._deliveries.put(replace(delivery, status="failed", detail=_OTHER_KEY))
            return
        at = now()
        receipt = self._send(webhook, _message(event) if event else _test_message(delivery))
        sent = _sent(delivery, at, receipt, 0)
        self._keep(replace(sent, status="delivered" if receipt.outcome == "accepted" else "failed"), event)

    def _event(self, number: int) -> Event:
        found = self._feed.after(number - 1, None, 1, 0.0).items
        if not found or found[0]["id"] != str(number):
            raise CursorExpired(str(number))
        return found[0]

    # ---- both ---------------------------------------------------------------------------------------------------

    def _send(self, webhook: Webhook, message: Message) -> Receipt:
        return self._receiver.send(webhook.url, message, self._signing.secrets(webhook, now()))

    def _keep(self, delivery: Delivery, event: Event | None) -> None:
        """Note what came of a delivery, with no text about a customer that has been erased, or names one."""
        cust_id = event["subject"]["id"] if event and event["subject"]["type"] == "customer" else None
        if not (event and delivery.answer and cust_id):
            self._deliveries.put(delivery)
            return
        about, answer = self._digest(cust_id), delivery.answer.replace(cust_id, "(CUST_ID)")
        self._deliveries.put(replace(delivery, about=about, answer=answer))
        if self._is_erased(int(event["id"])):
            # An erasure that ended before the text was there; one that ends later finds it.
            self._deliveries.erase(about)

    def _is_erased(self, number: int) -> bool:
        try:
            return self._event(number)["subject"]["id"] is None
        except CursorExpired:
            return True


class ErasableDeliveries:
    """What receivers answered about customers."""

    name = "webhooks"

    def __init__(self, deliveries: DeliveryStore, digest: Callable[[str], str]) -> None:
        self._deliveries = deliveries
        self._digest = digest

    def erase(self, cust_id: str) -> int:
        """Remove what was answered about a customer.

        Raises
        ------
        StoreError
        """
        return self._deliveries.erase(self._digest(cust_id))


class DeliveriesStatus(TypedDict):
    """How the deliveries to webhooks go on.

    Attributes
    ----------
    active, paused, disabled : how many webhooks there are of each.
    failing : how many of the active ones have an event that is not accepted, the first `since` then.
    behind : how many entries of the change log the active one that is furthest behind has still to go through.
    """

    active: int
    paused: int
    disabled: int
    failing: int
    since: datetime | None
    behind: int


def deliveries_status(webhooks: WebhookStore, last: Callable[[], int]) -> DeliveriesStatus:
    """Return how the deliveries go on.

    Parameters
    ----------
    last : returns the position of the last entry of the change log.

    Raises
    ------
    StoreError
    """
    found = webhooks.page(None, MOST_WEBHOOKS)
    active = [webhook for webhook in found if webhook.status == "active"]
    failing = [webhook.failing_since for webhook in active if webhook.failing_since is not None]
    head = last() if active else 0
    return DeliveriesStatus(
        active=len(active),
        paused=sum(webhook.status == "paused" for webhook in found),
        disabled=sum(webhook.status == "disabled" for webhook in found),
        failing=len(failing),
        since=min(failing, default=None),
        behind=max([head - position_of(webhook.cursor) for webhook in active], default=0),
    )


def retry_seconds(attempts: int) -> float:
    """Return how long to wait before sending again: twice as long each time, and never at the same time as others."""
    return min(FIRST_RETRY * 2.0 ** min(attempts - 1, 20), LONGEST_RETRY) * random.uniform(0.8, 1.2)  # noqa: S311  # no secret


def _is_due(webhook: Webhook, at: datetime) -> bool:
    return webhook.status == "active" and (webhook.retry_at is None or webhook.retry_at <= at)


def _sent(delivery: Delivery, at: datetime, receipt: Receipt, attempts: int) -> Delivery:
    return replace(
        delivery,
        attempts=attempts + 1,
        at=at,
        detail=receipt.detail,
        answer_status=receipt.status,
        answer=receipt.text,
        seconds=round(receipt.seconds, 3),
    )


def _message(event: Event) -> Message:
    return Message(f"evt_{event['id']}", _body(event["type"], event["at"], event))


def _test_message(delivery: Delivery) -> Message:
    data = {"webhook": delivery.webhook_id, "delivery": delivery.id}
    return Message(f"test_{delivery.id}", _body(TEST, delivery.created_at, data))


def _body(type_: str, at: datetime, data: Any) -> bytes:
    """Return a payload as the Standard Webhooks specification recommends it."""
    return orjson.dumps({"type": type_, "timestamp": at, "data": data}, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


def _expired(error: CursorExpired) -> str:
    return (
        "Events that it has not been told of are not kept any more. Let the receiver read the customers anew, and go "
        f"on with a replay after {error.earliest}, or after now; then activate it."
    )


def _in_words(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours:g} hour{'' if hours == 1 else 's'}"
