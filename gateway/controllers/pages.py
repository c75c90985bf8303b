"""Answers that are a page of a list, with the address of the next one: the same for every list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from gateway.controllers.http import json_response
from gateway.schemas.paging import cursor_after
from gateway.services.pages import Page


def page_by_id(page: Page[Any, str]) -> Response:
    """Return the answer for a page of a list in the order of ids."""
    return page_response(page.items, cursor_after(page.end) if page.end else None)


def page_response(
    items: Sequence[Any], cursor: str | None, more: Mapping[str, Any] = MappingProxyType({}), *, first: bool = False
) -> Response:
    """Return the answer for a page, which names the next one in its body and in the header Link (RFC 8288).

    Parameters
    ----------
    cursor : of the next page.
    more : further members of the body.
    first : whether Link names the first page, too.
    """
    here, query = request.path, query_without_cursor() if cursor or first else ""
    links = [f'<{_address(here, query, f"cursor={cursor}")}>; rel="next"'] if cursor else []
    links += [f'<{_address(here, query, "")}>; rel="first"'] if first else []
    headers = {"Link": ", ".join(links)} if links else None
    return json_response({"items": items, "next_cursor": cursor, **more}, headers=headers)


def query_without_cursor() -> str:
    """Return the request's query string without its cursor."""
    return urlencode([pair for pair in request.args.items(multi=True) if pair[0] != "cursor"])


def _address(path: str, query: str, last: str) -> str:
    """Return an address of this list; it repeats all parameters but the cursor."""
    whole = "&".join(filter(None, (query, last)))
    return f"{path}?{whole}" if whole else path
