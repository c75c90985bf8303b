"""Reading request bodies: media type, size and syntax of JSON, and files of customers on their way to disk."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from model_service.api.errors import ApiError, validation_failed
from model_service.store.errors import StoreNotWritable
from shared.model_contract import CSV, NDJSON, TSV
from shared.problems import FieldError
from shared.strict_json import MalformedJSON, loads

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

LIMIT = 64 * 1024
"""Largest body of words about a model, in bytes."""

READ_TIMEOUT_SECONDS = 60.0
"""How long a client may send nothing; one that vanished would otherwise leave its half file for ever."""

_WRITTEN_AT_ONCE = 1024 * 1024


class _StrictRequest(Request):
    """A request with a JSON body, of which nothing is guessed, bent or lost."""

    content = b""

    async def body(self) -> bytes:
        """Return the body, which has been read and counted."""
        return self.content

    async def json(self) -> Any:
        """Return the object in the body; FastAPI asks for it where an endpoint has a model as its parameter."""
        value = parse(await self.body())
        if not isinstance(value, dict):
            raise validation_failed([FieldError(pointer="", detail="must be an object")])
        return value


class StrictRoute(APIRoute):
    """A route whose JSON body is checked before FastAPI sees it: media type, size, syntax, and that it is an object.

    A patch may also be declared as a merge patch; a body that is optional need not be declared, nor be there.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler with that before it."""
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler
        required = self.body_field.field_info.is_required()
        allowed = {JSON, *([MERGE_PATCH] if self.methods == {"PATCH"} else []), *([] if required else [""])}

        async def strict(request: Request) -> Response:
            checked = _StrictRequest(request.scope, request.receive)
            checked.content = await read_body(checked, LIMIT, allowed)
            if required and not checked.content:
                parse(b"")  # to FastAPI it would be no more than a missing parameter
            return await handler(checked)

        return strict


async def read_body(request: Request, limit: int, allowed: Iterable[str] = (JSON,)) -> bytes:
    """Return the body, counted while it arrives, so that no length header need be believed.

    Raises
    ------
    ApiError
        415 when its media type is not one of the `allowed` ("" for undeclared), 413 when it is longer than `limit`
        bytes.
    """
    media_type(request, allowed, limit, (JSON,))
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


def media_type(request: Request, allowed: Iterable[str], limit: int, named: Iterable[str] | None = None) -> str:
    """Return the media type of the body, before it is read.

    Parameters
    ----------
    named : those of the `allowed` that a refusal names; all of them by default.

    Raises
    ------
    ApiError
        415 when it is not one of the `allowed`, is a text in another charset than UTF-8, or has a Content-Encoding, 413
        when the body is declared as longer than `limit` bytes.
    """
    kind, encoding, length = _declared(request)
    given = kind.partition(";")[0].strip().lower()
    if given not in allowed:
        raise _unsupported(f"The Content-Type must be {' or '.join(named or allowed)}, not {given or 'missing'}.")
    if encoding and {coding.strip().lower() for coding in encoding.split(",")} - {"", "identity"}:
        raise _unsupported(f"The body must not be compressed, as its Content-Encoding {encoding!r} says.")
    if given in _TEXTS and _charset(kind) not in _CHARSETS:
        raise _unsupported(f"The file must be in UTF-8, not in {kind!r}.")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    return given


def _declared(request: Request) -> tuple[str, str, str]:
    """Return Content-Type, Content-Encoding and Content-Length, in one pass: each look-up by name is another."""
    kind = encoding = length = b""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-encoding":
            encoding = value
        elif name == b"content-length":
            length = value
    return kind.decode("latin-1"), encoding.decode("latin-1"), length.decode("latin-1")


def _unsupported(detail: str) -> ApiError:
    return ApiError(415, "unsupported_media_type", detail)


_CHARSETS = ("utf-8", "ascii")
_TEXTS = (CSV, TSV, NDJSON)


def _charset(content_type: str) -> str | None:
    """Return the one name of the charset that a media type names; UTF-8 where it names none."""
    message = Message()
    message["content-type"] = content_type
    try:
        return codecs.lookup(str(message.get_param("charset", _CHARSETS[0]))).name
    except (LookupError, ValueError):
        return None


async def receive(request: Request, path: Path, limit: int) -> int:
    """Write the body to a new file, in constant memory, and return its size in bytes.

    Raises
    ------
    ApiError
        413 when the body is longer than `limit`, 422 when it is empty, 408 when the client sends nothing for
        `READ_TIMEOUT_SECONDS`.
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
        raise StoreNotWritable(f"The uploaded file cannot be stored: {error.strerror}.") from error
    if not size:
        raise validation_failed([FieldError(pointer="", detail="must not be empty")])
    return size


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    Raises
    ------
    ApiError
        408 when the client sends nothing for `READ_TIMEOUT_SECONDS`.
    """
    stream = aiter(request.stream())
    try:
        while True:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError as error:
        detail = f"The client sent nothing for {READ_TIMEOUT_SECONDS:.0f} seconds."
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


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "body_too_large", f"The body is larger than the limit of {limit} bytes.")
