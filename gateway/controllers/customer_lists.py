"""Lists of customers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from werkzeug.exceptions import RequestURITooLarge

from gateway.controllers.exchange import answer, query
from gateway.schemas.customer_lists import load_list
from gateway.schemas.paging import Cursors
from gateway.services.customer_lists import CustomerLists

MAX_QUERY_LENGTH = 3_500
"""Longest query string of a list without its cursor, encoded: with one, the next page's address stays below 4,000."""


class CustomerListController:
    """Filtered and sorted lists of customers, a page at a time."""

    def __init__(self, lists: CustomerLists, cursors: Cursors) -> None:
        self._lists = lists
        self._cursors = cursors

    def list(self) -> Response:
        """GET /customers."""
        pairs = list(query())
        here = urlencode([(name, value) for name, value in pairs if name != "cursor"])
        if len(here) > MAX_QUERY_LENGTH:
            raise RequestURITooLarge(f"the query string, without its cursor, must be at most {MAX_QUERY_LENGTH} long")
        asked = load_list(pairs, self._cursors)
        page = self._lists.page(asked.query, asked.total)
        cursor = self._cursors.write(asked.list_id, page.end) if page.end else None
        body: dict[str, Any] = {"items": page.items, "next_cursor": cursor}
        if page.total:
            body |= {"total": page.total.total, "total_kind": page.total.kind}
        return answer(body, headers={"Link": _links(request.path, here, cursor)})


def _links(path: str, here: str, cursor: str | None) -> str:
    """Return what the header Link says (RFC 8288): the addresses repeat all parameters."""
    first = f'<{path}?{here}>; rel="first"' if here else f'<{path}>; rel="first"'
    if cursor is None:
        return first
    return f'<{path}?{here}{"&" if here else ""}cursor={cursor}>; rel="next", {first}'
