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
        "Names the request in the logs of both tiers, and in the answer: 1 to 128 letters, digits and `_.:-`. Where "
        "none is sent, or another text, one is made up.",
        {"type": "string"},
    ),
    IF_MATCH: _header(
        "The ETag of the revision that the change is meant for: 412 where the resource has another one by now.",
        {"type": "string"},
    ),
    IF_NONE_MATCH: _header(
        "On reading, the ETag of the copy at hand: 304 where that is still the right one. "
        "On PUT, `*`: create the resource, and 412 where there is one already.",
        {"type": "string"},
    ),
    IDEMPOTENCY_KEY: _header(
        "Makes it safe to send the request again when no answer came: it is carried out once, and the answer is sent "
        "again. A text of your own making for each request, such as a UUID; it belongs to your API key. Of a file, "
        "only the length and its Content-Digest (RFC 9530) are compared, so send that with files.",
        {"type": "string", "pattern": r"^[!#-+\--~]+$", "minLength": 1, "maxLength": LONGEST},
    ),
}
"""Headers of requests, as components of the document."""

ANSWER: Mapping[str, dict[str, Any]] = {
    REQUEST_ID: _header("Names the request in the logs of both tiers", _REQUEST_ID, required=True),
    ETAG: _header("The revision, for If-Match and If-None-Match", {"type": "string"}, required=True),
    LOCATION: _header("The address of what was created", {"type": "string", "format": "uri-reference"}),
    LINK: _header('The next page, as `<address>; rel="next"`; absent on the last one', {"type": "string"}),
    CACHE_CONTROL: _header("What caches may do", {"type": "string"}),
    RETRY_AFTER: _header("Seconds to wait before the next attempt", {"type": "integer", "minimum": 1}),
    REPLAYED: _header("`true` on the answer of an earlier request with this Idempotency-Key", {"const": "true"}),
    CONTENT_DISPOSITION: _header("What to call the file", {"type": "string"}),
    ACCEPT: _header("The media types that the address takes", {"type": "string"}),
    ACCEPT_PATCH: _header("The media types that the address takes", {"type": "string"}),
    ACCEPT_ENCODING: _header("The Content-Encodings that the address takes", {"type": "string"}),
    "RateLimit": _header(
        "The window: how many requests are left (r), and seconds to the next one (t)", {"type": "string"}
    ),
    "RateLimit-Policy": _header("All windows: requests (q) in so many seconds (w)", {"type": "string"}),
    "RateLimit-Limit": _header("Requests in the window", {"type": "integer"}),
    "RateLimit-Remaining": _header("Requests that are left in it", {"type": "integer"}),
    "RateLimit-Reset": _header("Seconds until the next window", {"type": "integer"}),
    CHALLENGE: _header("What is missing, as RFC 6750 words it", {"type": "string"}),
    ALLOW: _header("The methods that the address knows", {"type": "string"}),
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
