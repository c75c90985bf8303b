"""The API keys resource."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from flask import Response, request

from gateway.controllers.http import answer, caller, load, read_json, read_order
from gateway.schemas.api_keys import NewApiKeySchema, RotationSchema
from gateway.schemas.paging import cursor_after, load_page_request
from gateway.services.access.api_keys import ApiKeyService

_new = NewApiKeySchema()
_rotation = RotationSchema()

_ONCE: Mapping[str, str] = {"Cache-Control": "no-store"}
"""For answers with a key's text: no cache on the way keeps it."""


class ApiKeyController:
    """Make, list, revoke and rotate API keys."""

    def __init__(self, keys: ApiKeyService) -> None:
        self._keys = keys

    def create(self) -> Response:
        """POST /api-keys."""
        key = self._keys.create(**load(_new, read_json()), maker=caller())
        return answer(key, 201, {**_ONCE, "Location": f"{request.path}/{key['id']}"})

    def list(self) -> Response:
        """GET /api-keys."""
        asked = load_page_request(request.args)
        page = self._keys.page(asked.after, asked.limit)
        cursor = cursor_after(page.items[-1]["id"]) if page.more else None
        link = {"Link": f'<{request.path}?{urlencode({"limit": asked.limit, "cursor": cursor})}>; rel="next"'}
        return answer({"items": page.items, "next_cursor": cursor}, headers=link if cursor else None)

    def get(self, key_id: str) -> Response:
        """GET /api-keys/{id}."""
        return answer(self._keys.get(key_id))

    def revoke(self, key_id: str) -> Response:
        """DELETE /api-keys/{id}: the key ends, its record stays."""
        self._keys.revoke(key_id)
        return Response(status=204)

    def rotate(self, key_id: str) -> Response:
        """POST /api-keys/{id}/rotate."""
        return answer(self._keys.rotate(key_id, **load(_rotation, read_order())), headers=_ONCE)
