"""The settings: the index, API keys and the audit trail; a table of its own, because every room has one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.api_keys import ApiKeyPageController
from gateway.pages.controllers.audit import AuditPageController
from gateway.pages.controllers.settings import SettingsController
from gateway.pages.routes import page
from gateway.routes import Route, Work
from gateway.services.principal import Scope


def settings(index: SettingsController, keys: ApiKeyPageController, audit: AuditPageController) -> Sequence[Route]:
    """Return the routes of the settings."""
    return (
        page("/settings", index.show, Scope.MODELS_READ, work=Work.PAGE, or_scopes=(Scope.WEBHOOKS,)),
        page("/settings/keys", keys.list, Scope.ADMIN, keys.PARAMETERS),
        page("/settings/audit", audit.list, Scope.ADMIN, audit.PARAMETERS),
    )
