"""Administration of webhooks: who is told of what, their secrets, and what has been delivered."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict, cast

from gateway.services.clock import now
from gateway.services.errors import DeliveryNotFound, InvalidInput, TooManyWebhooks, WebhookNotFound
from gateway.services.events.change import ChangeType
from gateway.services.events.feed import EventType, FeedService
from gateway.services.events.recorder import Recorder
from gateway.services.pages import Page
from gateway.services.principal import Principal
from gateway.services.transactions import Transactions
from gateway.services.webhooks.destinations import Destinations
from gateway.services.webhooks.signing import Signing
from gateway.services.webhooks.webhook import (
    AFRESH,
    TEST,
    Delivery,
    DeliveryKind,
    DeliveryStatus,
    DeliveryStore,
    Webhook,
    WebhookChange,
    WebhookStatus,
    WebhookStore,
    new_delivery_id,
)
from shared.problems import FieldError

MOST_WEBHOOKS: Final = 20
"""The worker delivers to each in a thread of its own, so that none waits for another."""
DEFAULT_OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=30)

Start = Literal["now", "earliest"] | int
"""After which event deliveries go on: its number, after all, or before the earliest that is kept."""


class WebhookView(TypedDict):
    """A webhook as it is shown; nothing of its secret is in it.

    Attributes
    ----------
    types : the types of events that are delivered; null for all.
    status : `active`; `paused` by somebody; `disabled` by the service, for the `reason`.
    cursor : the event that deliveries have got to, as a cursor of `GET /events`.
    attempts : how often the next event has been sent in vain, since `failing_since`; it is sent again at `retry_at`.
    delivered_at : when an event was last accepted.
    old_secret_until : until when the secret before the last rotation signs as well.
    """

    id: str
    url: str
    description: str
    types: Sequence[EventType] | None
    status: WebhookStatus
    reason: str | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    cursor: str
    attempts: int
    failing_since: datetime | None
    retry_at: datetime | None
    delivered_at: datetime | None
    old_secret_until: datetime | None


class NewWebhook(WebhookView):
    """A webhook with its signing ``secret``, which is told only once: to whoever makes it or rotates it."""

    secret: str


class DeliveryView(TypedDict):
    """What came of sending an event.

    Attributes
    ----------
    kind : `event`, in its turn; `replay`, by itself once more; `test`.
    event : the id of the event, as in `GET /events`; null for a test.
    type : of the event; `webhook.test` for a test.
    status : `waiting` to be sent; `retrying` until it is accepted, next at `retry_at`; `delivered`; `failed` for good.
    at : when it was last sent.
    detail : what came of that, in words.
    answer_status, answer : the status that the receiver answered with, and where it did not accept the event, the
        beginning of its text.
    seconds : how long that took.
    """

    id: str
    kind: DeliveryKind
    event: str | None
    type: str
    status: DeliveryStatus
    created_at: datetime
    attempts: int
    at: datetime | None
    detail: str | None
    answer_status: int | None
    answer: str
    seconds: float | None
    retry_at: datetime | None


class WebhookService:
    """Makes and changes webhooks; what they deliver is the worker's (`services.webhooks.deliveries`)."""

    def __init__(
        self,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        feed: FeedService,
        transactions: Transactions,
        recorder: Recorder,
        destinations: Destinations,
        signing: Signing,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._feed = feed
        self._transactions = transactions
        self._recorder = recorder
        self._destinations = destinations
        self._signing = signing
        self._clock = clock

    def create(
        self, url: str, maker: Principal, description: str = "", types: Sequence[EventType] | None = None
    ) -> NewWebhook:
        """Store a new webhook, which is told of what happens from now on, and return it with its secret.

        Raises
        ------
        InvalidInput
            for an address where deliveries may not go.
        TooManyWebhooks, StoreError
        """
        self._check(url)
        if len(self._webhooks.page(None, MOST_WEBHOOKS)) == MOST_WEBHOOKS:
            raise TooManyWebhooks(MOST_WEBHOOKS)
        at = self._clock()
        webhook = Webhook(
            id=secrets.token_hex(12),
            url=url,
            description=description,
            types=_kept(types),
            status="active",
            reason=None,
            created_at=at,
            created_by=f"{maker.kind}:{maker.id}",
            updated_at=at,
            cursor=self._feed.now(),
            nonce=self._signing.new_nonce(),
            mark=self._signing.mark,
        )
        self._transactions.run(lambda: self._insert(webhook))
        return self._with_secret(webhook)

    def _insert(self, webhook: Webhook) -> None:
        self._webhooks.insert(webhook)
        self._note("webhook.created", webhook.id)

    def get(self, webhook_id: str) -> WebhookView:
        """Return one webhook.

        Raises
        ------
        WebhookNotFound, StoreError
        """
        return self._view(self._found(webhook_id))

    def page(self, after: str | None, limit: int) -> Page[WebhookView, str]:
        """Return up to `limit` webhooks after the id `after`, in the order of their ids."""
        return Page.of(self._webhooks.page(after, limit + 1), limit, lambda webhook: webhook.id, self._view)

    def change(self, webhook_id: str, members: WebhookChange) -> WebhookView:
        """Change address, description, types or status.

        Whatever its status was, an event that was sent in vain is sent again at once, and counts anew.

        Raises
        ------
        InvalidInput, WebhookNotFound, StoreError
        """
        if "url" in members:
            self._check(members["url"])
        changed: WebhookChange = {**members, "updated_at": self._clock()}
        if "types" in members:
            changed["types"] = _kept(members["types"])
        if "status" in members:
            changed |= {"reason": None}
        if "status" in members or "url" in members:
            changed |= {"attempts": 0, "failing_since": None, "retry_at": None}
        return self._view(self._change(webhook_id, changed, "webhook.updated", tuple(sorted(members))))

    def _change(
        self, webhook_id: str, members: WebhookChange, action: ChangeType, names: Sequence[str] = ()
    ) -> Webhook:
        def work() -> Webhook:
            webhook = self._webhooks.change(webhook_id, members)
            if webhook is None:
                raise WebhookNotFound(webhook_id)
            self._note(action, webhook_id, names)
            return webhook

        return self._transactions.run(work)

    def rotate(self, webhook_id: str, overlap: timedelta = DEFAULT_OVERLAP) -> NewWebhook:
        """Give a webhook a new secret and return it; for `overlap`, what is sent is signed with the old one as well.

        Raises
        ------
        WebhookNotFound, StoreError
        """
        webhook = self._found(webhook_id)
        members: WebhookChange = {"nonce": self._signing.new_nonce(), "mark": self._signing.mark}
        if webhook.mark == self._signing.mark:
            members |= {"old_nonce": webhook.nonce, "old_until": self._clock() + overlap}
        else:  # nobody can derive the old secret any more
            members |= {"old_nonce": None, "old_until": None}
        members["updated_at"] = self._clock()
        return self._with_secret(self._change(webhook_id, members, "webhook.rotated"))

    def delete(self, webhook_id: str) -> None:
        """Forget a webhook. What is in its log, nobody can read any more, and it expires.

        Raises
        ------
        WebhookNotFound, StoreError
        """

        def work() -> None:
            if not self._webhooks.delete(webhook_id):
                raise WebhookNotFound(webhook_id)
            self._note("webhook.deleted", webhook_id)

        self._transactions.run(work)

    def replay_after(self, webhook_id: str, start: Start) -> WebhookView:
        """Deliver everything that follows an event, once more or for the first time, or pass over what is waiting.

        Raises
        ------
        CursorExpired
            where something that follows is not kept any more.
        WebhookNotFound, StoreError
        """
        self._found(webhook_id)
        number = self._feed.now() if start == "now" else self._feed.earliest() if start == "earliest" else start
        self._feed.after(number, None, 1, 0.0)
        changed = self._change(webhook_id, {**AFRESH, "cursor": number}, "webhook.replayed")
        self._deliveries.give_up(webhook_id)
        return self._view(changed)

    def test(self, webhook_id: str) -> DeliveryView:
        """Have the worker deliver a test, whatever the webhook's status is; return the delivery, which waits.

        Raises
        ------
        WebhookNotFound, StoreError
        """
        self._found(webhook_id)
        return self._wanted(webhook_id, "test", None, TEST)

    def replay(self, webhook_id: str, delivery_id: str) -> DeliveryView:
        """Have the worker deliver the event of an earlier delivery once more, at once; return the new delivery.

        Raises
        ------
        WebhookNotFound, DeliveryNotFound, CursorExpired, StoreError
        """
        earlier = self._delivery(webhook_id, delivery_id)
        if earlier.event is None:
            return self._wanted(webhook_id, "test", None, TEST)
        self._feed.after(earlier.event - 1, None, 1, 0.0)
        return self._wanted(webhook_id, "replay", earlier.event, earlier.type)

    def _wanted(self, webhook_id: str, kind: DeliveryKind, event: int | None, type_: str) -> DeliveryView:
        delivery = Delivery(new_delivery_id(), webhook_id, kind, event, type_, "waiting", self._clock())
        self._deliveries.put(delivery)
        return _shown(delivery)

    def deliveries(
        self, webhook_id: str, status: DeliveryStatus | None, before: str | None, limit: int
    ) -> Page[DeliveryView, str]:
        """Return up to `limit` deliveries of a webhook, newest first.

        Raises
        ------
        WebhookNotFound, StoreError
        """
        self._found(webhook_id)
        found = self._deliveries.page(webhook_id, status, before, limit + 1)
        return Page.of(found, limit, lambda delivery: delivery.id, _shown)

    def delivery(self, webhook_id: str, delivery_id: str) -> DeliveryView:
        """Return one delivery.

        Raises
        ------
        WebhookNotFound, DeliveryNotFound, StoreError
        """
        return _shown(self._delivery(webhook_id, delivery_id))

    def _delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        self._found(webhook_id)
        delivery = self._deliveries.get(webhook_id, delivery_id)
        if delivery is None:
            raise DeliveryNotFound(delivery_id)
        return delivery

    def _found(self, webhook_id: str) -> Webhook:
        webhook = self._webhooks.get(webhook_id)
        if webhook is None:
            raise WebhookNotFound(webhook_id)
        return webhook

    def _check(self, url: str) -> None:
        if fault := self._destinations.fault(url):
            raise InvalidInput([FieldError(pointer="/url", detail=fault)])

    def _note(self, action: ChangeType, webhook_id: str, names: Sequence[str] = ()) -> None:
        self._recorder.note(action, "webhook", webhook_id, data={"members": list(names)} if names else {})

    def _with_secret(self, webhook: Webhook) -> NewWebhook:
        return NewWebhook(**self._view(webhook), secret=self._signing.secret(webhook.id, webhook.nonce))

    def _view(self, webhook: Webhook) -> WebhookView:
        old_until = webhook.old_until
        return WebhookView(
            id=webhook.id,
            url=webhook.url,
            description=webhook.description,
            types=webhook.types,
            status=webhook.status,
            reason=webhook.reason,
            created_at=webhook.created_at,
            created_by=webhook.created_by,
            updated_at=webhook.updated_at,
            cursor=str(webhook.cursor),
            attempts=webhook.attempts,
            failing_since=webhook.failing_since,
            retry_at=webhook.retry_at,
            delivered_at=webhook.delivered_at,
            old_secret_until=old_until if old_until and self._clock() < old_until else None,
        )


def _kept(types: Sequence[EventType] | None) -> tuple[EventType, ...] | None:
    """Return each type once, in their order."""
    return None if types is None else cast(tuple[EventType, ...], tuple(dict.fromkeys(types)))


def _shown(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        kind=delivery.kind,
        event=None if delivery.event is None else str(delivery.event),
        type=delivery.type,
        status=delivery.status,
        created_at=delivery.created_at,
        attempts=delivery.attempts,
        at=delivery.at,
        detail=delivery.detail,
        answer_status=delivery.answer_status,
        answer=delivery.answer,
        seconds=delivery.seconds,
        retry_at=delivery.retry_at,
    )
