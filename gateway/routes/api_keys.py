"""API keys: who may do what."""

from __future__ import annotations

from gateway.controllers.api_keys import ApiKeyController
from gateway.routes import WITH_SECRET, Resource, Route
from gateway.routes.operation import STORE, Answer, Body, Link, Operation, PageOf, page
from gateway.schemas.paging import PAGE
from gateway.services.access.api_keys import ApiKeyView, NewApiKey
from gateway.services.principal import Scope

_ID = {"key_id": "$response.body#/id"}
_NEXT = {"read": Link("getApiKey", _ID), "rotate": Link("rotateApiKey", _ID), "revoke": Link("revokeApiKey", _ID)}


_CREATE_API_KEY = Operation(
    "createApiKey",
    "Make an API key",
    "The answer is the only one that ever shows the key.",
    {201: Answer("The key", NewApiKey, headers=("Location",), links=_NEXT)},
    Body("NewApiKeyOrder"),
    STORE,
)
_LIST_API_KEYS = Operation(
    "listApiKeys",
    "List the API keys",
    "Those that have ended are among them.",
    page("listApiKeys", PageOf(ApiKeyView)),
    problems=STORE,
)
_GET_API_KEY = Operation(
    "getApiKey",
    "Read what is known of an API key",
    "",
    {200: Answer("All but its secret", ApiKeyView, links=_NEXT)},
    problems=("api_key_not_found", *STORE),
)
_ROTATE_API_KEY = Operation(
    "rotateApiKey",
    "Give an API key a new secret",
    "The old one works beside it for a while, so that nothing that uses the key has to stop.",
    {200: Answer("The key with its new secret", NewApiKey, links=_NEXT)},
    Body("RotationOrder", required=False),
    ("api_key_not_found", "api_key_unusable", *STORE),
)
_REVOKE_API_KEY = Operation(
    "revokeApiKey",
    "End an API key for good",
    "Within two seconds no process of this service takes it any more.",
    {204: Answer("Ended")},
    problems=("api_key_not_found", *STORE),
)


def api_keys(keys: ApiKeyController) -> Resource:
    """Return the routes that administrate API keys."""
    return Resource(
        "API keys",
        "Who may do what. A key is shown once, when it is made or rotated; what is stored cannot bring it back.",
        (
            Route("POST", "/api-keys", keys.create, Scope.ADMIN, _CREATE_API_KEY, repeats=WITH_SECRET),
            Route("GET", "/api-keys", keys.list, Scope.ADMIN, _LIST_API_KEYS, PAGE),
            Route("GET", "/api-keys/<name:key_id>", keys.get, Scope.ADMIN, _GET_API_KEY),
            Route(
                "POST", "/api-keys/<name:key_id>/rotate", keys.rotate, Scope.ADMIN, _ROTATE_API_KEY, repeats=WITH_SECRET
            ),
            Route("DELETE", "/api-keys/<name:key_id>", keys.revoke, Scope.ADMIN, _REVOKE_API_KEY),
        ),
    )
