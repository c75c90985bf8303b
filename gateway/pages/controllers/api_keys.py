"""API keys: who may sign in and call, and what for. Made, rotated and revoked by `static/api_keys.js` over the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flask import Response, g

from gateway.controllers.http import query
from gateway.pages.rendering import page
from gateway.schemas.paging import CURSOR, cursor_after
from gateway.services.access.api_keys import DEFAULT_LIFETIME, LONGEST_LIFETIME, ApiKeyService
from gateway.services.principal import Scope

_ON_A_PAGE: Final = 100

SCOPES: Final[Mapping[Scope, str]] = {
    Scope.CUSTOMERS_READ: "See customers, and export them",
    Scope.CUSTOMERS_WRITE: "Add, change, import and delete customers",
    Scope.PREDICTIONS: "Ask for the segment of somebody who is not stored (What if)",
    Scope.MODELS_READ: "See segments, models and alerts",
    Scope.MODELS_MANAGE: "Train and activate models, name segments",
    Scope.EVENTS_READ: "Follow changes as they happen",
    Scope.WEBHOOKS: "Send changes to other systems (webhooks)",
    Scope.METRICS_READ: "Read technical metrics",
    Scope.ADMIN: "Everything, also API keys and the audit trail",
}
"""What each scope opens, in words."""


class ApiKeyPageController:
    """The list of API keys."""

    PARAMETERS: Final = (CURSOR,)

    def __init__(self, keys: ApiKeyService) -> None:
        self._keys = keys

    def list(self) -> Response:
        """GET /settings/keys."""
        found = self._keys.page(query().get("cursor"), _ON_A_PAGE)
        return page(
            "api_keys.html",
            working=[key for key in found.items if key["status"] == "active"],
            ended=[key for key in found.items if key["status"] != "active"],
            next=f"/settings/keys?cursor={cursor_after(found.end)}" if found.end else None,
            first="/settings/keys" if "cursor" in query() else None,
            own=g.principal.id,
            scopes=SCOPES,
            days=DEFAULT_LIFETIME.days,
            most_days=LONGEST_LIFETIME.days,
        )
