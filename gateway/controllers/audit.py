"""The audit trail as a resource."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, request

from gateway.controllers.http import answer, query
from gateway.schemas.paging import cursor_after
from gateway.schemas.queries import load_audit_request
from gateway.services.audit import AuditService


class AuditController:
    """Read who changed what."""

    def __init__(self, audit: AuditService) -> None:
        self._audit = audit

    def list(self) -> Response:
        """GET /audit."""
        asked = load_audit_request(query())
        page = self._audit.page(asked.filters, asked.before, asked.limit)
        if not page.more:
            return answer({"items": page.items, "next_cursor": None})
        cursor = cursor_after(page.items[-1]["id"])
        again = [(name, value) for name, value in query() if name != "cursor"]
        link = f'<{request.path}?{urlencode([*again, ("cursor", cursor)])}>; rel="next"'
        return answer({"items": page.items, "next_cursor": cursor}, headers={"Link": link})
