"""Reading a JSON request body: its media type, its size and its syntax."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from fastapi import Request

from model_service.api.errors import ApiError
from shared.strict_json import MalformedJSON, loads

JSON = "application/json"


async def read_body(request: Request, limit: int, allowed: Container[str] = (JSON,)) -> bytes:
    """Return the body, counted while it arrives, so that no length header need be believed.

    Raises
    ------
    ApiError
        415 when its media type is not one of the `allowed` ("" for undeclared), 413 when it is longer than `limit`
        bytes.
    """
    _require_media_type(request.headers.get("content-type", ""), allowed)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def parse(body: bytes) -> Any:
    """Return the JSON value in `body`.

    Raises
    ------
    ApiError
        400 when it is not JSON, or JSON that would lose data.
    """
    try:
        return loads(body)
    except MalformedJSON as error:
        raise ApiError(400, "malformed_json", str(error)) from error


def _require_media_type(content_type: str, allowed: Container[str]) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in allowed:
        detail = f"The body must be {JSON}, not {media_type or 'undeclared'}."
        raise ApiError(415, "unsupported_media_type", detail)


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "body_too_large", f"The body is larger than {limit} bytes.")
