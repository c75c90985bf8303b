"""The secret that the gateway shows in every request; nobody else is answered."""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from model_service.api.documentation import problems
from model_service.api.errors import problem_response
from shared.contract import READY

OPEN = frozenset({"/health/live", READY, "/v2/health/live", "/v2/health/ready", "/openapi.json"})
"""What anybody may ask: whether the service lives and is ready, for whoever watches it, and what its API looks like."""

CHALLENGE = 'Bearer realm="model-service"'
_SCHEME = b"bearer "
_NAME = "gateway"
_REFUSED = {str(status): response for status, response in problems(s401="The secret is missing or wrong").items()}


class GatewayOnly:
    """Pure ASGI middleware that lets only requests through that carry ``Authorization: Bearer SECRET``."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self.app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http" or self._admits(scope):
            await self.app(scope, receive, send)
            return
        detail = "Only the gateway is answered here: it shows the secret that both tiers share."
        refusal = problem_response(401, "unauthenticated", detail, headers={"www-authenticate": CHALLENGE})
        await refusal(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if scope["path"] in OPEN:
            return True
        for name, value in scope["headers"]:
            if name == b"authorization":
                # In constant time, so that nobody can guess the secret letter by letter.
                return value[:7].lower() == _SCHEME and hmac.compare_digest(value[7:], self._secret)
        return False


def document(app: FastAPI) -> None:
    """Make the OpenAPI text say that the secret is needed, and what is answered without."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        described = plain()
        if "security" not in described:
            described["security"] = [{_NAME: []}]
            scheme = {"type": "http", "scheme": "bearer", "description": "The secret that the gateway shares"}
            described.setdefault("components", {})["securitySchemes"] = {_NAME: scheme}
            for path, operations in described["paths"].items():
                for operation in operations.values():
                    operation |= {"security": []} if path in OPEN else {}
                    operation["responses"] |= {} if path in OPEN else _REFUSED
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the text
