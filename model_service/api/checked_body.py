"""Reading a JSON request body into a pydantic model."""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from model_service.api.errors import validation_failed
from model_service.api.json_body import JSON, parse, read_body
from model_service.api.schemas import field_errors

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
