"""The API keys resource."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request

from gateway.controllers.http import caller, json_response, load, no_content, query, read_json, read_object
from gateway.controllers.pages import page_by_id
from gateway.schemas.api_keys import NewApiKeySchema, RotationSchema
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
        return json_response(key, 201, {**_ONCE, "Location": f"{request.path}/{key['id']}"})

    def list(self) -> Response:
        """GET /api-keys."""
        return page_by_id(self._keys.page(query().get("cursor"), query()["limit"]))

    def get(self, key_id: str) -> Response:
        """GET /api-keys/{id}."""
        return json_response(self._keys.get(key_id))

    def revoke(self, key_id: str) -> Response:
        """DELETE /api-keys/{id}: the key ends, its record stays."""
        self._keys.revoke(key_id)
        return no_content()

    def rotate(self, key_id: str) -> Response:
        """POST /api-keys/{id}/rotate."""
        return json_response(self._keys.rotate(key_id, **load(_rotation, read_object())), headers=_ONCE)
