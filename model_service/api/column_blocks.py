"""Any number of customers in a body of NDJSON, each line a block of columns: read as a stream, one block at a time."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from fastapi import Request

from model_service.api.customers import MAX_ERRORS, input_columns
from model_service.api.errors import ApiError, validation_failed
from model_service.api.json_body import parse
from model_service.api.schemas import pointer
from model_service.api.upload import chunks, media_type
from model_service.pipeline import Matrix
from shared.features import cust_id_fault
from shared.model_contract import NDJSON
from shared.problems import FieldError

MAX_LINE = 16 * 1024 * 1024
"""Most bytes of a line; 50,000 customers take about 10 MiB."""


class ColumnBlock(NamedTuple):
    """Faultless customers: a float64 array of shape (n,) per input feature, NaN for missing, and their CUST_IDs."""

    columns: dict[str, Matrix]
    ids: list[str] | None


async def lines(request: Request) -> AsyncIterator[tuple[int, bytes]]:
    """Yield the lines of the body that are not blank, with their numbers from 1, as they arrive.

    Raises
    ------
    ApiError
        415 when the body is not declared as NDJSON, 413 when a line is longer than `MAX_LINE`, 408 when the client
        sends nothing for long.
    """
    media_type(request, (NDJSON,), sys.maxsize)  # a stream is as long as it likes to be
    number, line = 1, bytearray()
    async for chunk in chunks(request):
        first, *others = chunk.split(b"\n")
        line += first
        for other in others:
            if _checked(line, number).strip():
                yield number, bytes(line)
            number, line = number + 1, bytearray(other)
        _checked(line, number)
    if line.strip():
        yield number, bytes(line)


def block_of(number: int, line: bytes) -> ColumnBlock:
    """Return the customers in a line.

    Raises
    ------
    ApiError
        400 when it is not JSON, 422 with pointers into it to what is refused.
    """
    try:
        return _block(parse(line))
    except ApiError as error:
        raise ApiError(error.status, error.code, f"Line {number}: {error.detail}", error.errors) from error


def _checked(line: bytearray, number: int) -> bytearray:
    if len(line) > MAX_LINE:
        raise ApiError(413, "body_too_large", f"Line {number} is longer than {MAX_LINE} bytes; send smaller blocks.")
    return line


def _block(value: Any) -> ColumnBlock:
    if not isinstance(value, dict):
        raise validation_failed([FieldError(pointer="", detail='must be an object with "columns" and perhaps "ids"')])
    unknown = [name for name in value if name not in ColumnBlock._fields]
    if unknown:
        faults = [FieldError(pointer=pointer("", [name]), detail="is not a known field") for name in unknown]
        raise validation_failed(faults[:MAX_ERRORS])
    if "columns" not in value:
        raise validation_failed([FieldError(pointer="/columns", detail="is missing")])
    columns = input_columns(value["columns"])
    return ColumnBlock(columns, _ids(value["ids"], len(next(iter(columns.values())))) if "ids" in value else None)


def _ids(ids: Any, count: int) -> list[str]:
    if not isinstance(ids, list):
        raise validation_failed([FieldError(pointer="/ids", detail="must be an array")])
    if len(ids) != count:
        detail = f"must have {count} entries like the columns, not {len(ids)}"
        raise validation_failed([FieldError(pointer="/ids", detail=detail)])
    faults = [(row, fault) for row, identity in enumerate(ids) if (fault := cust_id_fault(identity))]
    if faults:
        errors = [FieldError(pointer=pointer("/ids", [row]), detail=fault) for row, fault in faults[:MAX_ERRORS]]
        raise validation_failed(errors)
    return ids
