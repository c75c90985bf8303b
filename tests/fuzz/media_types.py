"""How schemathesis writes the media types that it does not know; loaded by it as its hooks."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: Any, value: Any) -> bytes:
    """Write each element on a line of its own; what is no array, on one."""
    return "\n".join(json.dumps(line, default=str) for line in (value if isinstance(value, list) else [value])).encode()


@schemathesis.serializer("application/vnd.apache.parquet", "text/csv", "text/tab-separated-values")
def file(_context: Any, value: Any) -> bytes:
    """Write a file's content as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
