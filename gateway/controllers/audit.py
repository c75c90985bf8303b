"""The audit trail as a resource; a module of its own, because every resource has one of its name in each layer."""

from __future__ import annotations

from flask import Response

from gateway.controllers.http import query
from gateway.controllers.pages import page_response
from gateway.schemas.paging import cursor_after
from gateway.services.events.audit import AuditService
from gateway.services.events.log import AuditFilters


class AuditController:
    """Read who changed what."""

    def __init__(self, audit: AuditService) -> None:
        self._audit = audit

    def list(self) -> Response:
        """GET /audit."""
        values = query()
        plain = {name: values.get(name) for name in ("subject", "actor", "action")}
        times = {"since": values.get("at[gte]"), "until": values.get("at[lt]")}
        filters = AuditFilters(**plain, **times, followers=values["followers"])
        page = self._audit.page(filters, values.get("cursor"), values["limit"])
        return page_response(page.items, cursor_after(str(page.end)) if page.end else None)
