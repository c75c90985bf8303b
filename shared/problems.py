"""The one error body of both tiers: RFC 9457 problem details with a stable code and a request id."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import NotRequired, TypedDict

MEDIA_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "X-Request-ID"

_request_id = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class FieldError(TypedDict):
    """One refused value: where it is (JSON pointer, RFC 6901) and what is wrong with it."""

    pointer: str
    detail: str


class Problem(TypedDict):
    """RFC 9457 members plus ``code`` (stable, for programs), ``request_id`` and, for validation, ``errors``."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: NotRequired[list[FieldError]]


def problem(
    status: int, code: str, detail: str, request_id: str = "", errors: Sequence[FieldError] | None = None
) -> Problem:
    """Build an error body.

    ``type`` is a URN made of the code: an identifier, not an address to fetch (RFC 9457 section 3.1.1).
    """
    body = Problem(
        type=f"urn:customer-segmentation:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
    )
    if errors:
        body["errors"] = list(errors)
    return body


def code_of(status: int) -> str:
    """Return the code of an error that has no meaning beyond its HTTP status, such as ``not_found``."""
    return re.sub(r"\W+", "_", HTTPStatus(status).phrase.lower())


def request_id(received: str | None) -> str:
    """Return the caller's request id if it is safe to log and echo, else a new one."""
    if received and _request_id.fullmatch(received):
        return received
    return uuid.uuid4().hex
