"""Who is told of events, and what came of it; a table of its own, because every room has one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.webhooks import WebhookPagesController
from gateway.pages.routes import page
from gateway.routes import Route
from gateway.schemas.webhooks import DELIVERIES
from gateway.services.principal import Scope


def webhooks(controller: WebhookPagesController) -> Sequence[Route]:
    """Return the routes of the webhooks."""
    return (
        page("/settings/webhooks", controller.list, Scope.WEBHOOKS),
        page("/settings/webhooks/<name:webhook_id>", controller.show, Scope.WEBHOOKS, DELIVERIES),
    )
