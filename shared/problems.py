"""The one error body of both tiers: RFC 9457 problem details with a stable code and a request id."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NotRequired

from typing_extensions import TypedDict

MEDIA_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "X-Request-ID"

# Python renamed these two in 3.13, and what clients see must not depend on the server's Python. RFC 9110's names.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

_request_id = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class FieldError(TypedDict):
    """One refused value: where it is (JSON pointer, RFC 6901) and what is wrong with it."""

    pointer: str
    detail: str


class Problem(TypedDict):
    """RFC 9457 members plus ``code`` (stable, for programs), ``request_id`` and, for validation, ``errors``.

    ``earliest`` is what can be asked for instead, where what was asked for is not kept any more (410).
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: NotRequired[list[FieldError]]
    earliest: NotRequired[str]


def problem(
    status: int, code: str, detail: str, request_id: str = "", errors: Sequence[FieldError] | None = None
) -> Problem:
    """Build an error body.

    ``type`` is a URN made of the code: an identifier, not an address to fetch (RFC 9457 section 3.1.1).
    """
    body = Problem(
        type=f"urn:customer-segmentation:problem:{code}",
        title=_TITLES.get(status) or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
    )
    if errors:
        body["errors"] = list(errors)
    return body


def problem_message(status: int, detail: str) -> bytes:
    """Return a whole answer of HTTP/1.1 for what a server refuses before there is an application to ask."""
    identity = request_id(None)
    # What the server says may quote the request.
    printable = "".join(letter if letter.isprintable() else "?" for letter in detail[:_LONGEST_DETAIL]).rstrip(".")
    said = f"The request cannot be read: {printable}." if status < 500 else "The request failed unexpectedly."
    content = problem(status, code_of(status), said, identity)
    body = json.dumps(content, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} {content['title']}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        f"{REQUEST_ID_HEADER}: {identity}",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body


_LONGEST_DETAIL = 200

_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    411: "length_required",
    413: "body_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "validation_failed",
    431: "headers_too_large",
    500: "internal_error",
    503: "unavailable",
}


def code_of(status: int) -> str:
    """Return the code of an error that has no meaning beyond its HTTP status, such as ``not_found``."""
    return _CODES.get(status, f"http_{status}")


def request_id(received: str | None) -> str:
    """Return the caller's request id if it is safe to log and echo, else a new one."""
    if received and _request_id.fullmatch(received):
        return received
    # Unique is enough, unguessable is not needed: this costs a tenth of uuid4, on every request.
    return f"{random.getrandbits(128):032x}"
