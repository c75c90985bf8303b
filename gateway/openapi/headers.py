"""Every header that a request may carry and an answer can have, beyond those that HTTP itself needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.middleware.idempotency import LONGEST

IF_MATCH = "If-Match"
IF_NONE_MATCH = "If-None-Match"
REQUEST_ID = "X-Request-ID"
IDEMPOTENCY_KEY = "Idempotency-Key"
ETAG = "ETag"
LOCATION = "Location"
LINK = "Link"
CACHE_CONTROL = "Cache-Control"
CONTENT_DISPOSITION = "Content-Disposition"
RETRY_AFTER = "Retry-After"
ALLOW = "Allow"
REPLAYED = "Idempotency-Replayed"
ACCEPT = "Accept"
ACCEPT_PATCH = "Accept-Patch"
ACCEPT_ENCODING = "Accept-Encoding"
CHALLENGE = "WWW-Authenticate"

_REQUEST_ID = {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$", "maxLength": 128}


def _header(text: str, schema: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"description": text, "schema": schema, **more}


REQUEST: Mapping[str, dict[str, Any]] = {
    REQUEST_ID: _header(
        "Identifies the request in the logs of both tiers and in the response: 1 to 128 letters, digits and `_.:-`. If "
        "it is missing or invalid, one is generated.",
        {"type": "string"},
    ),
    IF_MATCH: _header(
        "The ETag of the revision that the change is meant for: 412 if the resource has changed since.",
        {"type": "string"},
    ),
    IF_NONE_MATCH: _header(
        "On GET, the ETag of the cached copy: 304 if that is still current. "
        "On PUT, `*`: create the resource, or 412 if it already exists.",
        {"type": "string"},
    ),
    IDEMPOTENCY_KEY: _header(
        "Makes it safe to retry the request when no response arrived: it is carried out once, and the response is sent "
        "again. A text that you choose for each request, such as a UUID; it is scoped to your API key. Of a file, "
        "only the length and its Content-Digest (RFC 9530) are compared, so send that with files.",
        {"type": "string", "pattern": r"^[!#-+\--~]+$", "minLength": 1, "maxLength": LONGEST},
    ),
}
"""Headers of requests, as components of the document."""

ANSWER: Mapping[str, dict[str, Any]] = {
    REQUEST_ID: _header("Identifies the request in the logs of both tiers", _REQUEST_ID, required=True),
    ETAG: _header("The revision, for If-Match and If-None-Match", {"type": "string"}, required=True),
    LOCATION: _header("The address of what was created", {"type": "string", "format": "uri-reference"}),
    LINK: _header('The next page, as `<address>; rel="next"`; absent on the last one', {"type": "string"}),
    CACHE_CONTROL: _header("Caching rules", {"type": "string"}),
    RETRY_AFTER: _header("Seconds to wait before retrying", {"type": "integer", "minimum": 1}),
    REPLAYED: _header(
        "`true` if this is the response to an earlier request with the same Idempotency-Key", {"const": "true"}
    ),
    CONTENT_DISPOSITION: _header("A name for the file", {"type": "string"}),
    ACCEPT: _header("The media types that this address accepts", {"type": "string"}),
    ACCEPT_PATCH: _header("The media types that this address accepts", {"type": "string"}),
    ACCEPT_ENCODING: _header("The Content-Encodings that this address accepts", {"type": "string"}),
    "RateLimit": _header(
        "The current window: requests left (r), and seconds until the next window (t)", {"type": "string"}
    ),
    "RateLimit-Policy": _header("All windows: number of requests (q) per seconds (w)", {"type": "string"}),
    "RateLimit-Limit": _header("Requests per window", {"type": "integer"}),
    "RateLimit-Remaining": _header("Requests left in the window", {"type": "integer"}),
    "RateLimit-Reset": _header("Seconds until the next window", {"type": "integer"}),
    CHALLENGE: _header("The credentials that are missing (RFC 6750)", {"type": "string"}),
    ALLOW: _header("The methods that this address supports", {"type": "string"}),
}
"""Headers of answers, as components of the document."""

OF_STATUS: Mapping[int, tuple[str, ...]] = {
    401: (CHALLENGE,),
    403: (CHALLENGE,),
    405: (ALLOW,),
    409: (RETRY_AFTER,),
    415: (ACCEPT, ACCEPT_PATCH, ACCEPT_ENCODING),
    429: (RETRY_AFTER,),
    503: (RETRY_AFTER,),
}
"""Headers that problems of a status can have, beyond those on every answer."""
EVERYWHERE = (REQUEST_ID, CACHE_CONTROL, *(name for name in ANSWER if name.startswith("RateLimit")))
"""Headers on every answer; health checks are not counted and have no RateLimit."""


def references(names: Iterable[str]) -> dict[str, Any]:
    """Return the headers of an answer, by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*EVERYWHERE, *names)}


def request_components() -> dict[str, Any]:
    """Return the request headers as parameters of the document's components."""
    return {name: {"name": name, "in": "header", **header} for name, header in REQUEST.items()}
