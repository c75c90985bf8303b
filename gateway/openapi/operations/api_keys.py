"""API keys: who may do what."""

from __future__ import annotations

from gateway.openapi.components import page_of
from gateway.openapi.headers import LINK, LOCATION
from gateway.openapi.operation import Answer, Body, Link, Named, Operation, Resource
from gateway.openapi.problems import STORE
from gateway.openapi.schemas import body_schema
from gateway.schemas.api_keys import NewApiKeySchema, RotationSchema
from gateway.services.access.api_keys import ApiKeyView, NewApiKey

_KEYS = "/api/v1/api-keys"
_KEY = f"{_KEYS}/{{key_id}}"
_ID = {"key_id": "$response.body#/id"}
_NEXT = {"read": Link("getApiKey", _ID), "rotate": Link("rotateApiKey", _ID), "revoke": Link("revokeApiKey", _ID)}

_ONE_EXPIRY = {"not": {"required": ["expires_in_days", "expires_at"]}}

API_KEYS = Resource(
    "API keys",
    "Who may do what. A key is shown once, when it is made or rotated; what is stored cannot bring it back.",
    {
        f"POST {_KEYS}": Operation(
            "createApiKey",
            "Make an API key",
            "The answer is the only one that ever shows the key.",
            {201: Answer("The key", NewApiKey, headers=(LOCATION,), links=_NEXT)},
            Body(Named("NewApiKeyOrder", body_schema(NewApiKeySchema()) | _ONE_EXPIRY)),
            STORE,
        ),
        f"GET {_KEYS}": Operation(
            "listApiKeys",
            "List the API keys",
            "Those that have ended are among them.",
            {
                200: Answer(
                    "A page",
                    page_of(ApiKeyView),
                    headers=(LINK,),
                    links={"next": Link("listApiKeys", {"cursor": "$response.body#/next_cursor"})},
                )
            },
            problems=STORE,
        ),
        f"GET {_KEY}": Operation(
            "getApiKey",
            "Read what is known of an API key",
            "",
            {200: Answer("All but its secret", ApiKeyView, links=_NEXT)},
            problems=("api_key_not_found", *STORE),
        ),
        f"POST {_KEY}/rotate": Operation(
            "rotateApiKey",
            "Give an API key a new secret",
            "The old one works beside it for a while, so that nothing that uses the key has to stop.",
            {200: Answer("The key with its new secret", NewApiKey, links=_NEXT)},
            Body(Named("RotationOrder", body_schema(RotationSchema()) | _ONE_EXPIRY), required=False),
            ("api_key_not_found", "api_key_unusable", *STORE),
        ),
        f"DELETE {_KEY}": Operation(
            "revokeApiKey",
            "End an API key for good",
            "Within two seconds no process of this service takes it any more.",
            {204: Answer("Ended")},
            problems=("api_key_not_found", *STORE),
        ),
    },
)
