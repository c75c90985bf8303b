"""The query string of an import: how the file is imported."""

from __future__ import annotations

import re

from gateway.schemas.queries import Query, load_parameters
from gateway.services.bulk_writes import Mode
from gateway.services.errors import InvalidInput
from gateway.services.imports import ImportOrder
from shared.problems import FieldError

IMPORT = ("mode", "dry_run", "name")
MODES = tuple(mode.value for mode in Mode)

_FLAGS = {"true": True, "false": False}
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


def load_import(query: Query, size: int | None) -> ImportOrder:
    """Return how a file of `size` bytes is to be imported.

    Raises
    ------
    InvalidInput
    """
    found = load_parameters(query, IMPORT)
    mode, dry_run, name = found.get("mode", Mode.UPSERT), found.get("dry_run", "false"), found.get("name")
    faults = {}
    if mode not in MODES:
        faults["mode"] = f"must be {' or '.join(MODES)}"
    if dry_run not in _FLAGS:
        faults["dry_run"] = "must be true or false"
    if name is not None and not _NAME.fullmatch(name):
        faults["name"] = "must be 1 to 200 characters without line breaks"
    if faults:
        errors = [FieldError(pointer=f"?{parameter}", detail=detail) for parameter, detail in faults.items()]
        raise InvalidInput(errors, "the query string breaks the rules in errors")
    return ImportOrder(Mode(mode), _FLAGS[dry_run], name, size)
