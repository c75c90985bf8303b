"""Imports for people: send a file, see what it would change, follow it, and what became of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import orjson
from flask import Response

from gateway.controllers.http import query
from gateway.pages import import_words
from gateway.pages.rendering import page
from gateway.pages.size_history import Former
from gateway.schemas.paging import CURSOR, cursor_after
from gateway.services.imports.imports import ImportService
from shared.customer_files.header import ALIASES, fold
from shared.customer_files.reader import SUFFIXES
from shared.features import CUST_ID, INPUTS

_LISTED: Final = 20
_SHOWN_FAULTS: Final = 20


@cache
def _columns() -> str:
    """Return the columns of a file as JSON, and under which names each is understood: a script reads the header."""
    names = [(CUST_ID, True), *((feature.name, not feature.nullable) for feature in INPUTS)]
    columns = [
        {
            "name": name,
            "label": import_words.label(name),
            "required": required,
            "names": [fold(written) for written in (name, *ALIASES.get(name, ()))],
        }
        for name, required in names
    ]
    return orjson.dumps(columns).decode()


class ImportPagesController:
    """The list of imports with the form for another one, and one import.

    Parameters
    ----------
    names : the segments' names by id.
    former : says what segments are called that the model does not have any more.
    largest : the largest file that is taken, in bytes.
    days : for how long deleted customers can be restored.
    """

    PARAMETERS: Final[Sequence[Any]] = (CURSOR,)

    def __init__(
        self, imports: ImportService, names: Callable[[], Mapping[str, str]], former: Former, largest: int, days: int
    ) -> None:
        self._imports = imports
        self._names = names
        self._former = former
        self._largest = largest
        self._days = days
        self._columns = _columns()
        self._suffixes = orjson.dumps(SUFFIXES).decode()

    def list(self) -> Response:
        """GET /imports."""
        before = query().get("cursor")
        found = self._imports.page(before, _LISTED)
        return page(
            "imports.html",
            imports=found.items,
            next=f"/imports?cursor={cursor_after(found.end)}" if found.end else None,
            first="/imports" if before else None,
            words=import_words,
            columns=self._columns,
            suffixes=self._suffixes,
            largest=self._largest,
            restorable=import_words.restorable(self._days),
        )

    def show(self, import_id: str) -> Response:
        """GET /imports/{id}."""
        record = self._imports.get(import_id)
        moves = record["segment_changes"]["moves"]
        return page(
            "import.html",
            record=record,
            names=self._names(),
            former=self._former({move[end] for move in moves for end in ("from", "to")}),
            words=import_words,
            days=self._days,
            shown_faults=record["errors"][:_SHOWN_FAULTS],
        )
