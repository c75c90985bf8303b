"""Reading a request's body and conditions, and writing an answer: what every controller does in the same way."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import orjson
from flask import Response, g, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from gateway.schemas.customers import field_errors
from gateway.schemas.queries import Query
from gateway.services.access import COMMAND_LINE, Principal
from gateway.services.errors import InvalidInput
from shared.problems import FieldError
from shared.strict_json import loads

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

_UTC = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def read_json(*media_types: str) -> Any:
    """Return the request's body, parsed strictly.

    Raises
    ------
    werkzeug.exceptions.UnsupportedMediaType
        unless the body is declared as one of `media_types` (JSON without any).
    werkzeug.exceptions.RequestEntityTooLarge
    shared.strict_json.MalformedJSON
    """
    accepted = media_types or (JSON,)
    if request.mimetype not in accepted:
        raise UnsupportedMediaType(f"send the body as {' or '.join(accepted)}, not {request.mimetype or 'untyped'!r}")
    return loads(_body())


def read_order(*media_types: str) -> dict[str, Any]:
    """Return the body, which must be a JSON object, or nothing at all.

    Raises
    ------
    InvalidInput, and what `read_json` raises
    """
    body = read_json(*media_types) if has_body() else {}
    if not isinstance(body, dict):
        raise InvalidInput([FieldError(pointer="", detail="must be an object")])
    return body


def query() -> Query:
    """Return the query string's parameters."""
    return request.args.items(multi=True)


def caller() -> Principal:
    """Return who calls."""
    principal: Principal = g.get("principal", COMMAND_LINE)
    return principal


def has_body() -> bool:
    """Whether the request has a body, empty ones aside."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _body() -> bytes:
    limit = request.max_content_length
    too_large = RequestEntityTooLarge(f"the body must be smaller than {limit} bytes")
    if limit is not None and (request.content_length or 0) > limit:
        raise too_large
    body = request.get_data(cache=False)
    # Without a Content-Length (chunked), Werkzeug cuts the body off at the limit and says nothing.
    if limit is not None and request.content_length is None and len(body) >= limit:
        raise too_large
    return body


def load(schema: Schema, body: Any, prefix: str = "") -> dict[str, Any]:
    """Return the body as `schema` reads it.

    Raises
    ------
    InvalidInput
    """
    try:
        loaded: dict[str, Any] = schema.load(body)
    except ValidationError as error:
        raise InvalidInput(field_errors(error, prefix)) from error
    return loaded


class _AnyRevision:
    def __contains__(self, revision: object) -> bool:
        return True


def accepted_revisions() -> Container[str] | None:
    """Return the revisions that If-Match names (RFC 9110 section 13.1.1), or None without the header."""
    tags = request.if_match
    if "If-Match" not in request.headers:
        return None
    return _AnyRevision() if tags.star_tag else tags.as_set()  # as_set leaves weak tags out: they never match here


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; times, which are in UTC throughout, become RFC 3339."""
    return Response(orjson.dumps(body, option=_UTC), status, headers, mimetype=JSON)
