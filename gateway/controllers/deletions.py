"""Deleted customers, and bringing them back."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, request

from gateway.controllers.customers import checked_id, written_answer
from gateway.controllers.exchange import answer, first_tried_at
from gateway.schemas.paging import cursor_after, load_page_request
from gateway.services.deletions import DeletionService
from shared.features import CUST_ID


class DeletionController:
    """Find out which customers can be restored, and restore them."""

    def __init__(self, deletions: DeletionService) -> None:
        self._deletions = deletions

    def list(self) -> Response:
        """GET /deleted-customers."""
        asked = load_page_request(request.args)
        page = self._deletions.page(asked.after, asked.limit)
        cursor = cursor_after(page.items[-1][CUST_ID]) if page.more else None
        link = {"Link": f'<{request.path}?{urlencode({"limit": asked.limit, "cursor": cursor})}>; rel="next"'}
        return answer({"items": page.items, "next_cursor": cursor}, headers=link if cursor else None)

    def get(self, cust_id: str) -> Response:
        """GET /deleted-customers/{CUST_ID}."""
        return answer(self._deletions.get(checked_id(cust_id)))

    def restore(self, cust_id: str) -> Response:
        """POST /customers/{CUST_ID}/restore."""
        return written_answer(self._deletions.restore(checked_id(cust_id), first_tried_at()))
