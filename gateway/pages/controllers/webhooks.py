"""Webhooks for people: which systems are told of what, whether the messages arrive, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from flask import Response

from gateway.controllers.http import query
from gateway.controllers.pages import query_without_cursor
from gateway.pages.rendering import page
from gateway.schemas.paging import cursor_after
from gateway.services.webhooks.destinations import is_inside
from gateway.services.webhooks.webhook import TEST
from gateway.services.webhooks.webhooks import MOST_WEBHOOKS, WebhookService

TYPES: Final[Mapping[str, str]] = {
    "customer.segment_changed": "A customer moved to another segment",
    "customer.created": "A customer is new",
    "customer.updated": "A customer's data changed",
    "customer.deleted": "A customer was deleted",
    "customer.restored": "A deleted customer was brought back",
    "customer.erased": "A customer was erased for good",
    "segment.relabelled": "A segment was renamed or described anew",
    "model.activated": "Another version of the model was activated",
    "model.rolled_back": "An earlier version of the model was brought back",
    "import.completed": "An import ended",
    "assignments.recomputed": "All customers were scored anew",
}
"""What happens, in words."""
WORDS: Final[Mapping[str, str]] = {**TYPES, TEST: "A test"}
_ROWS: Final = 20


class WebhookPagesController:
    """The pages of webhooks."""

    def __init__(self, webhooks: WebhookService) -> None:
        self._webhooks = webhooks

    def list(self) -> Response:
        """GET /settings/webhooks."""
        found = self._webhooks.page(None, MOST_WEBHOOKS).items
        return page("webhooks.html", webhooks=found, types=TYPES, most=MOST_WEBHOOKS, concerns=concerns)

    def show(self, webhook_id: str) -> Response:
        """GET /settings/webhooks/{id}."""
        values = query()
        webhook, status = self._webhooks.get(webhook_id), values.get("status")
        log = self._webhooks.deliveries(webhook_id, status, values.get("cursor"), min(values["limit"], _ROWS))
        following = "&".join(
            filter(None, (query_without_cursor(), f"cursor={cursor_after(log.end)}" if log.end else ""))
        )
        return page(
            "webhook.html",
            webhook=webhook,
            concerns=concerns,
            deliveries=log.items,
            only=status,
            next=f"?{following}" if log.end else None,
            later="cursor" in values,
            types=TYPES,
            words=WORDS,
        )


def concerns(url: str) -> list[str]:
    """Return what whoever looks after a webhook should know of its address, where the installation allows it."""
    parts = urlsplit(url)
    found = {
        "not encrypted": parts.scheme == "http",
        "an address inside this network": is_inside(parts.hostname or ""),
    }
    return [words for words, holds in found.items() if holds]
