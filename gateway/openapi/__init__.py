"""The generator of the OpenAPI document: from the rows of the routes, the schemas and the types of the answers."""

from __future__ import annotations

import orjson
from flask import Flask

from gateway.routes import registered


def document_of(app: Flask) -> bytes:
    """Return the OpenAPI document of an application, as JSON."""
    from gateway.openapi.document import described  # here: a start need not wait for what only this needs

    return orjson.dumps(described(registered(app)))
