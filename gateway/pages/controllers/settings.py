"""The settings: one place that leads to what the viewer may look after; a module because every room is one."""

from __future__ import annotations

from typing import Final

from flask import Response

from gateway.pages.rendering import Room, page
from gateway.services.principal import Scope

_ROOMS: Final = (
    Room("API keys", "/settings/keys", (Scope.ADMIN,), "Who may sign in, which systems may call, and what for."),
    Room(
        "Webhooks",
        "/settings/webhooks",
        (Scope.WEBHOOKS,),
        "Which of your systems hear about changes as they happen, and whether the messages arrive.",
    ),
    Room("Alerts", "/settings/alerts", (Scope.MODELS_READ,), "What needs somebody's attention now, and what to do."),
    Room("Audit trail", "/settings/audit", (Scope.ADMIN,), "Who changed what, when, and from where."),
)


class SettingsController:
    """The way to all settings."""

    def show(self) -> Response:
        """GET /settings."""
        return page("settings.html", settings=_ROOMS)
