"""Reading a JSON request body: its media type, its size and its syntax."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from model_service.api.errors import ApiError
from shared.strict_json import MalformedJSON, loads


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, counted while it arrives, so that no length header need be believed.

    Raises
    ------
    ApiError
        415 when the body is not declared as JSON, 413 when it is longer than `limit` bytes.
    """
    _require_json(request.headers.get("content-type", ""))
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


def _require_json(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        detail = f"The body must be application/json, not {media_type or 'undeclared'}."
        raise ApiError(415, "unsupported_media_type", detail)


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "body_too_large", f"The body is larger than {limit} bytes.")
