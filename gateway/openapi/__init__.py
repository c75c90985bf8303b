"""What the gateway says of itself: its OpenAPI document, made from the routes, schemas and answers that serve."""

from __future__ import annotations

import orjson
from flask import Flask

from gateway.routes import registered


def document_of(app: Flask) -> bytes:
    """Return the OpenAPI document of an application, as JSON."""
    from gateway.openapi.document import described  # here: a start need not wait for what only this needs

    return orjson.dumps(described(registered(app)))
