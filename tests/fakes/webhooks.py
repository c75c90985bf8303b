"""Webhooks, their log and a receiver in memory; `contracts.webhooks` proves that they behave as those on MongoDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import RLock
from time import monotonic
from typing import Any

from gateway.services.errors import StoreError
from gateway.services.webhooks.webhook import (
    Delivery,
    DeliveryStatus,
    Message,
    Receipt,
    Webhook,
    WebhookChange,
)


class InMemoryWebhooks:
    """Webhooks in a dict. Set `failure` to make every call raise it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.webhooks: dict[str, Webhook] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.failure: StoreError | None = None
        self._clock = clock
        self._lock = RLock()

    def insert(self, webhook: Webhook) -> None:
        self._use()
        self.webhooks[webhook.id] = webhook

    def get(self, webhook_id: str) -> Webhook | None:
        self._use()
        return self.webhooks.get(webhook_id)

    def page(self, after: str | None, limit: int) -> list[Webhook]:
        self._use()
        return [each for key, each in sorted(self.webhooks.items()) if after is None or key > after][:limit]

    def change(self, webhook_id: str, members: WebhookChange) -> Webhook | None:
        self._use()
        with self._lock:
            if webhook_id not in self.webhooks:
                return None
            self.webhooks[webhook_id] = replace(self.webhooks[webhook_id], **members)
            return self.webhooks[webhook_id]

    def delete(self, webhook_id: str) -> bool:
        self._use()
        return self.webhooks.pop(webhook_id, None) is not None

    def claim(self, webhook_id: str, worker: str, seconds: float) -> Webhook | None:
        self._use()
        with self._lock:
            holder, until = self.leases.get(webhook_id, (worker, 0.0))
            if webhook_id not in self.webhooks or (holder != worker and self._clock() < until):
                return None
            self.leases[webhook_id] = (worker, self._clock() + seconds)
            return self.webhooks[webhook_id]

    def advance(self, webhook: Webhook, worker: str, seconds: float, members: WebhookChange) -> Webhook | None:
        self._use()
        with self._lock:
            stored, (holder, _) = self.webhooks.get(webhook.id), self.leases.get(webhook.id, ("", 0.0))
            if stored is None or holder != worker or stored.cursor != webhook.cursor:
                return None
            self.leases[webhook.id] = (worker, self._clock() + seconds)
            return self.change(webhook.id, members)

    def _use(self) -> None:
        if self.failure:
            raise self.failure


class InMemoryDeliveries:
    """Deliveries in a dict. Set `failure` to make every call raise it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self.failure: StoreError | None = None
        self._taken: dict[str, float] = {}
        self._clock = clock
        self._lock = RLock()

    def put(self, delivery: Delivery) -> None:
        self._use()
        with self._lock:
            self.deliveries[delivery.id] = delivery

    def get(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        self._use()
        found = self.deliveries.get(delivery_id)
        return found if found and found.webhook_id == webhook_id else None

    def page(self, webhook_id: str, status: DeliveryStatus | None, before: str | None, limit: int) -> list[Delivery]:
        found = [each for each in self._all() if each.webhook_id == webhook_id and status in (None, each.status)]
        return [each for each in found if before is None or each.id < before][::-1][:limit]

    def waiting(self) -> Sequence[str]:
        return sorted({each.webhook_id for each in self._free()})

    def take(self, webhook_id: str, seconds: float) -> Delivery | None:
        with self._lock:
            found = next((each for each in self._free() if each.webhook_id == webhook_id), None)
            if found is not None:
                self._taken[found.id] = self._clock() + seconds
            return found

    def give_up(self, webhook_id: str) -> None:
        for each in self._all():
            if each.webhook_id == webhook_id and each.status == "retrying":
                self.put(replace(each, status="failed", retry_at=None))

    def erase(self, about: str) -> int:
        found = [each for each in self._all() if each.about == about]
        for each in found:
            self.put(replace(each, answer="", about=None))
        return len(found)

    def _free(self) -> list[Delivery]:
        waiting = [each for each in self._all() if each.status == "waiting"]
        return [each for each in waiting if self._taken.get(each.id, 0.0) <= self._clock()]

    def _all(self) -> list[Delivery]:
        self._use()
        with self._lock:
            return [self.deliveries[key] for key in sorted(self.deliveries)]

    def _use(self) -> None:
        if self.failure:
            raise self.failure


ACCEPTED = Receipt("accepted", "204 No Content", 0.01, 204)
REFUSED = Receipt("refused", "503 Service Unavailable", 0.02, 503, "come again")
GONE = Receipt("gone", "410 Gone", 0.02, 410)
UNREACHABLE = Receipt("unreachable", "The connection was refused.", 0.0)


@dataclass
class FakeReceiver:
    """Remembers what it was sent, and answers as it is told to: by address, one answer after the other."""

    answers: dict[str, list[Receipt]] = field(default_factory=dict)
    sent: list[tuple[str, Message, Sequence[str]]] = field(default_factory=list)
    before: Callable[[str], None] = lambda url: None

    def send(self, url: str, message: Message, signing_secrets: Sequence[str]) -> Receipt:
        self.before(url)
        self.sent.append((url, message, signing_secrets))
        left = self.answers.get(url)
        return left.pop(0) if left else ACCEPTED

    def bodies(self, url: str | None = None) -> list[dict[str, Any]]:
        """Return what was sent, to one address or to all."""
        return [json.loads(message.body) for to, message, _ in self.sent if url in (None, to)]
