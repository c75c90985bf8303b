"""Customers from an NDJSON file of any size: a customer on each line, by the rules of one customer's JSON."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from json import JSONDecodeError
from typing import Any

from marshmallow import ValidationError

from gateway.files.text import MAX_LINE, text_blocks
from gateway.schemas.customers import customer_schema
from gateway.services.customers.customer import Features
from gateway.services.errors import InvalidInput
from gateway.services.imports.source import BATCH_ROWS, Batch, RowFault
from shared.features import CUST_ID, complete
from shared.problems import FieldError
from shared.strict_json import MalformedJSON, loads

OWN_FIELDS = frozenset({"segment", "segment_status", "revision", "created_at", "updated_at"})
"""What the service adds to a customer; an export has it, and an import of that export leaves it aside."""

_schema = customer_schema()
_nameable = re.compile(r"[A-Za-z_][A-Za-z_ -]{0,63}")


class NdjsonCustomers:
    """A file of customers in JSON, one on each line; blank lines do not matter.

    As in a request for one customer, an unknown field is a fault. Only what the service itself adds to customers is
    ignored, and named in `ignored_columns`.

    Raises
    ------
    InvalidInput
        for an empty file, or one that is a JSON array; nothing has been read beyond its first block then.
    """

    def __init__(self, pieces: Iterable[bytes], batch_rows: int = BATCH_ROWS) -> None:
        blocks = text_blocks(pieces)
        first = next(blocks, "")
        if not first:
            raise _no_file("The file is empty.")
        if first.lstrip().startswith("["):
            raise _no_file("The file is a JSON array; write each customer on a line, without brackets and commas.")
        self._lines = enumerate(_lines(chain([first], blocks)), start=1)
        self._batch_rows = batch_rows
        self._ignored: dict[str, None] = {}

    @property
    def ignored_columns(self) -> list[str]:
        """The service's own fields that were met so far."""
        return list(self._ignored)

    def batches(self) -> Iterator[Batch]:
        """Yield the file's rows in order, each batch checked."""
        while some := list(islice(self._lines, self._batch_rows)):
            yield self._checked(some)

    def _checked(self, numbered: list[tuple[int, str]]) -> Batch:
        customers: list[tuple[str, Features]] = []
        lines: list[int] = []
        faults: list[RowFault] = []
        rejected = 0
        for number, line in numbered:
            if not line.strip():
                continue
            try:
                customers.append(self._customer(line))
                lines.append(number)
            except (MalformedJSON, ValidationError) as error:
                rejected += 1
                faults += _faults(number, error)
        return Batch(customers, lines, faults, rejected)

    def _customer(self, line: str) -> tuple[str, Features]:
        if len(line) > MAX_LINE:
            raise ValidationError(f"is longer than {MAX_LINE:,} characters")
        sent = loads(line.encode())
        if isinstance(sent, dict):
            for name in OWN_FIELDS & sent.keys():
                self._ignored[name] = None
                del sent[name]
        loaded: dict[str, Any] = _schema.load(sent)
        return loaded.pop(CUST_ID), complete(loaded)


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
        yield from io.StringIO(block, newline=None)  # at every kind of line end, as the blocks are cut


def _faults(line: int, error: MalformedJSON | ValidationError) -> list[RowFault]:
    """Return what is wrong with a line, in words that hold nothing of it: a name may be an id."""
    if isinstance(error, MalformedJSON):
        syntax = error.__cause__
        detail = "has a name twice, or is nested too deep"
        if isinstance(syntax, JSONDecodeError):
            detail = f"is not valid JSON, from character {syntax.pos + 1} on"
        return [RowFault(line=line, column=None, detail=detail)]
    messages = error.messages if isinstance(error.messages, dict) else {"_schema": error.messages}
    return [
        RowFault(line=line, column=name if _nameable.fullmatch(name) and name != "_schema" else None, detail=detail)
        for name, details in messages.items()
        for detail in map(str, details)
    ]


def _no_file(detail: str) -> InvalidInput:
    return InvalidInput([FieldError(pointer="", detail=detail)], detail)
