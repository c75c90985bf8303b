"""The webhooks resource, and the log of each one's deliveries."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request

from gateway.controllers.http import (
    JSON,
    MERGE_PATCH,
    caller,
    json_response,
    load,
    no_content,
    query,
    read_json,
    read_object,
)
from gateway.controllers.pages import page_by_id
from gateway.schemas.webhooks import NewWebhookSchema, ReplaySchema, WebhookPatchSchema, WebhookRotationSchema
from gateway.services.webhooks.webhooks import DeliveryView, WebhookService

_new = NewWebhookSchema()
_patch = WebhookPatchSchema()
_rotation = WebhookRotationSchema()
_replay = ReplaySchema()

_ONCE: Mapping[str, str] = {"Cache-Control": "no-store"}
"""For answers with a secret: no cache on the way keeps it."""


class WebhookController:
    """Make, list, change, rotate and delete webhooks."""

    def __init__(self, webhooks: WebhookService) -> None:
        self._webhooks = webhooks

    def create(self) -> Response:
        """POST /webhooks."""
        webhook = self._webhooks.create(**load(_new, read_json()), maker=caller())
        return json_response(webhook, 201, {**_ONCE, "Location": f"{request.path}/{webhook['id']}"})

    def list(self) -> Response:
        """GET /webhooks."""
        return page_by_id(self._webhooks.page(query().get("cursor"), query()["limit"]))

    def get(self, webhook_id: str) -> Response:
        """GET /webhooks/{id}."""
        return json_response(self._webhooks.get(webhook_id))

    def patch(self, webhook_id: str) -> Response:
        """PATCH /webhooks/{id}."""
        return json_response(self._webhooks.change(webhook_id, load(_patch, read_json(MERGE_PATCH, JSON))))  # type: ignore[arg-type]  # its members

    def delete(self, webhook_id: str) -> Response:
        """DELETE /webhooks/{id}."""
        self._webhooks.delete(webhook_id)
        return no_content()

    def rotate(self, webhook_id: str) -> Response:
        """POST /webhooks/{id}/rotate."""
        return json_response(self._webhooks.rotate(webhook_id, **load(_rotation, read_object())), headers=_ONCE)

    def replay(self, webhook_id: str) -> Response:
        """POST /webhooks/{id}/replay."""
        return json_response(self._webhooks.replay_after(webhook_id, **load(_replay, read_json())))


class WebhookDeliveryController:
    """Read what was delivered, and have it delivered once more."""

    def __init__(self, webhooks: WebhookService) -> None:
        self._webhooks = webhooks

    def list(self, webhook_id: str) -> Response:
        """GET /webhooks/{id}/deliveries."""
        values = query()
        return page_by_id(
            self._webhooks.deliveries(webhook_id, values.get("status"), values.get("cursor"), values["limit"])
        )

    def get(self, webhook_id: str, delivery_id: str) -> Response:
        """GET /webhooks/{id}/deliveries/{delivery_id}."""
        return json_response(self._webhooks.delivery(webhook_id, delivery_id))

    def test(self, webhook_id: str) -> Response:
        """POST /webhooks/{id}/test: the worker sends it, and the answer says where to see what came of it."""
        return _begun(webhook_id, self._webhooks.test(webhook_id))

    def replay(self, webhook_id: str, delivery_id: str) -> Response:
        """POST /webhooks/{id}/deliveries/{delivery_id}/replay."""
        return _begun(webhook_id, self._webhooks.replay(webhook_id, delivery_id))


def _begun(webhook_id: str, delivery: DeliveryView) -> Response:
    webhook = request.path.partition(f"/{webhook_id}/")[0] + f"/{webhook_id}"
    return json_response(delivery, 202, {"Location": f"{webhook}/deliveries/{delivery['id']}"})
