"""What schemathesis cannot make up for the gateway by itself; loaded by it as its hooks."""

from __future__ import annotations

import uuid
from typing import Any

import schemathesis

from gateway.middleware.idempotency import HEADER, load_key
from gateway.services.errors import InvalidInput
from shared.features import CUST_ID
from tests.fuzz.media_types import file, ndjson

__all__ = ["file", "ndjson"]


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Let a request be what two rules ask for that relate one part of it to another, or to earlier requests.

    An Idempotency-Key stands for one request, and a CUST_ID in a body is that of the address.
    """
    headers, parts, body = case.headers or {}, case.path_parameters or {}, case.body
    if _is_key(headers.get(HEADER)):
        headers[HEADER] = str(uuid.uuid4())
    if "cust_id" in parts and isinstance(body, dict) and isinstance(body.get(CUST_ID), str):
        body[CUST_ID] = parts["cust_id"]


def _is_key(text: Any) -> bool:
    try:
        load_key(text)
    except (AttributeError, InvalidInput):
        return False
    return True
