"""Reading request bodies: media type, size and syntax of JSON, and files of customers on their way to disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Container, Iterable
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from model_service.api.errors import ApiError, validation_failed
from model_service.api.schemas import field_errors
from model_service.store.errors import RegistryError, StoreNotWritable
from shared.problems import FieldError
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


Shape = TypeVar("Shape", bound=BaseModel)

LIMIT = 64 * 1024
"""Largest body of words about a model, in bytes."""


async def checked_body(request: Request, shape: type[Shape], allowed: Container[str] = (JSON,)) -> Shape:
    """Return the body as `shape`; an empty one counts as an empty object where it may be undeclared.

    Raises
    ------
    ApiError
        415, 413, 400, or 422 with a pointer to each refused value.
    """
    body = await read_body(request, LIMIT, allowed)
    try:
        return shape.model_validate(parse(body) if body or "" not in allowed else {})
    except ValidationError as error:
        raise validation_failed(field_errors(error)) from error


STALL_SECONDS = 60.0
"""How long a client may send nothing; one that vanished would otherwise leave its half file for ever."""

HEARD_BYTES = 1024 * 1024
HEARD_SECONDS = 1.0

_WRITTEN_AT_ONCE = 1024 * 1024


def media_type(request: Request, allowed: Iterable[str], limit: int) -> str:
    """Return the media type of the body, before it is read.

    Raises
    ------
    ApiError
        415 when it is not one of the `allowed`, 413 when the body is declared as longer than `limit` bytes.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        detail = f"The body must be {' or '.join(allowed)}, not {given or 'undeclared'}."
        raise ApiError(415, "unsupported_media_type", detail)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    return given


async def receive(request: Request, path: Path, limit: int) -> int:
    """Write the body to a new file, in constant memory, and return its size in bytes.

    Raises
    ------
    ApiError
        413 when the body is longer than `limit`, 422 when it is empty, 408 when the client sends nothing for
        `STALL_SECONDS`.
    StoreNotWritable
    """
    size = 0
    try:
        with path.open("xb") as file:
            async for block in _blocks(request):
                size += len(block)
                if size > limit:
                    raise _too_large(limit)
                await asyncio.to_thread(file.write, block)
    except OSError as error:
        raise StoreNotWritable(f"the file cannot be stored: {error.strerror}") from error
    if not size:
        raise validation_failed([FieldError(pointer="", detail="the file is empty")])
    return size


@contextlib.asynccontextmanager
async def heard_out(request: Request) -> AsyncIterator[None]:
    """Take in the rest of a body that is refused within the `async with` block, unless it is long.

    A connection that is closed while bytes of the client wait on it is reset, which can wipe out the answer before the
    client has read it (RFC 9112 section 9.6).
    """
    try:
        yield
    except (ApiError, RegistryError):
        await hear_out(request)
        raise


async def hear_out(request: Request) -> None:
    """Take in what is left of a body, up to `HEARD_BYTES` and for `HEARD_SECONDS` at most."""
    size = 0
    # RuntimeError: it has been read to its end.
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(HEARD_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > HEARD_BYTES:
                    return


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    Raises
    ------
    ApiError
        408 when the client sends nothing for `STALL_SECONDS`.
    """
    stream = aiter(request.stream())
    try:
        while True:
            async with asyncio.timeout(STALL_SECONDS):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError as error:
        detail = f"The client sent nothing for {STALL_SECONDS:.0f} seconds."
        raise ApiError(408, "request_timeout", detail) from error


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in blocks that are worth a thread's while."""
    block = bytearray()
    async for chunk in chunks(request):
        block += chunk
        if len(block) >= _WRITTEN_AT_ONCE:
            yield bytes(block)
            block.clear()
    yield bytes(block)
