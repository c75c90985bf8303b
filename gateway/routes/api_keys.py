"""API keys: who may do what."""

from __future__ import annotations

from gateway.controllers.api_keys import ApiKeyController
from gateway.routes import WITH_SECRET, Resource, Route, Work
from gateway.routes.operation import STORE, Answer, Body, Link, Operation, PageOf, page
from gateway.schemas.paging import PAGE
from gateway.services.access.api_keys import ApiKeyView, NewApiKey
from gateway.services.principal import Scope

_ID = {"key_id": "$response.body#/id"}
_NEXT = {"read": Link("getApiKey", _ID), "rotate": Link("rotateApiKey", _ID), "revoke": Link("revokeApiKey", _ID)}


_CREATE_API_KEY = Operation(
    "createApiKey",
    "Create an API key",
    "This is the only response that ever shows the key.",
    {201: Answer("The key", NewApiKey, headers=("Location",), links=_NEXT)},
    Body("NewApiKeyOrder"),
    STORE,
)
_LIST_API_KEYS = Operation(
    "listApiKeys",
    "List the API keys",
    "Expired and revoked keys are included.",
    page("listApiKeys", PageOf(ApiKeyView)),
    problems=STORE,
)
_GET_API_KEY = Operation(
    "getApiKey",
    "Get an API key's metadata",
    "",
    {200: Answer("Everything but its secret", ApiKeyView, links=_NEXT)},
    problems=("api_key_not_found", *STORE),
)
_ROTATE_API_KEY = Operation(
    "rotateApiKey",
    "Rotate the secret of an API key",
    "The old secret keeps working for a while, so that clients can switch without interruption.",
    {200: Answer("The key with its new secret", NewApiKey, links=_NEXT)},
    Body("RotationOrder", required=False),
    ("api_key_not_found", "api_key_unusable", *STORE),
)
_REVOKE_API_KEY = Operation(
    "revokeApiKey",
    "Revoke an API key",
    "Within two seconds no process of this service accepts it any more.",
    {204: Answer("Revoked")},
    problems=("api_key_not_found", *STORE),
)


def api_keys(keys: ApiKeyController) -> Resource:
    """Return the routes that administrate API keys."""
    return Resource(
        "API keys",
        "Who may do what. A key is shown once, when it is created or rotated; only its digest is stored.",
        (
            Route("POST", "/api-keys", keys.create, Scope.ADMIN, _CREATE_API_KEY, repeats=WITH_SECRET),
            Route("GET", "/api-keys", keys.list, Scope.ADMIN, _LIST_API_KEYS, PAGE, Work.MANY),
            Route("GET", "/api-keys/<name:key_id>", keys.get, Scope.ADMIN, _GET_API_KEY),
            Route(
                "POST", "/api-keys/<name:key_id>/rotate", keys.rotate, Scope.ADMIN, _ROTATE_API_KEY, repeats=WITH_SECRET
            ),
            Route("DELETE", "/api-keys/<name:key_id>", keys.revoke, Scope.ADMIN, _REVOKE_API_KEY),
        ),
    )
