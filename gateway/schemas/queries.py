"""The query string of everything but lists: which parameters there are, and what they may say."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast, get_args

from gateway.schemas.customer_queries import time
from gateway.schemas.paging import PAGE, load_page_request
from gateway.services.audit import Action, AuditFilters
from gateway.services.customers.bulk_writes import Mode
from gateway.services.customers.query import Op
from gateway.services.errors import InvalidInput
from gateway.services.imports.imports import ImportOrder
from gateway.services.models.model import PredictionOptions
from gateway.services.models.registry import Format
from shared.features import CUST_ID, cust_id_fault
from shared.model_contract import ACTIVE
from shared.problems import FieldError

Query = Iterable[tuple[str, str]]
"""(name, value) pairs in the order sent."""

VERSION = r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"
"""A version's name, as the model service makes it."""
VERSION_OR_ACTIVE = rf"(?:{ACTIVE}|{VERSION})"

TRAINING = ("k", "k_min", "k_max", "seed", "activate", "by", "note")
"""Parameters of a training; what they may say is for the model service to judge."""

ASKED = ("explain", "version")
EXPLAIN = ("explain",)
ERASE = ("erase",)
FORMAT = ("format",)

_FLAGS = {"true": True, "false": False}
_FORMATS: tuple[str, ...] = get_args(Format)
_version_or_active = re.compile(VERSION_OR_ACTIVE)


def load_parameters(query: Query, known: Collection[str] = ()) -> dict[str, str]:
    """Return the parameters by name.

    Raises
    ------
    InvalidInput
        for one that is not `known`, or is given twice.
    """
    found: dict[str, str] = {}
    errors = []
    for name, value in query:
        if name not in known:
            errors.append(_error(name, "is not a known parameter"))
        elif name in found:
            errors.append(_error(name, "is given more than once"))
        found[name] = value
    _refuse(errors)
    return found


def load_prediction_options(query: Query) -> PredictionOptions:
    """Return the options of a prediction.

    Raises
    ------
    InvalidInput
    """
    found = load_parameters(query, ASKED)
    version = found.get("version")
    if version is not None and not _version_or_active.fullmatch(version):
        _refuse([_error("version", f"must be {ACTIVE!r} or the name of a version")])
    return PredictionOptions(_flag(found, "explain"), version)


def load_explain(query: Query) -> bool:
    """Return whether an explanation is asked for.

    Raises
    ------
    InvalidInput
    """
    return _flag(load_parameters(query, EXPLAIN), "explain")


def load_erase(query: Query) -> bool:
    """Return whether a customer is to be erased for good rather than deleted.

    Raises
    ------
    InvalidInput
    """
    return _flag(load_parameters(query, ERASE), "erase")


def load_cust_id(query: Query) -> str:
    """Return the CUST_ID that is asked about.

    Raises
    ------
    InvalidInput
    """
    found = load_parameters(query, (CUST_ID,))
    if CUST_ID not in found:
        _refuse([_error(CUST_ID, "is missing")])
    if fault := cust_id_fault(found[CUST_ID]):
        _refuse([_error(CUST_ID, fault)])
    return found[CUST_ID]


def load_format(query: Query) -> Format | None:
    """Return which kind of picture is asked for, or None where the figures are.

    Raises
    ------
    InvalidInput
    """
    kind = load_parameters(query, FORMAT).get("format", "json")
    if kind not in ("json", *_FORMATS):
        _refuse([_error("format", f"must be json, {' or '.join(_FORMATS)}")])
    return None if kind == "json" else cast(Format, kind)


def _flag(found: dict[str, str], name: str) -> bool:
    value = found.get(name, "false")
    if value not in _FLAGS:
        _refuse([_error(name, "must be true or false")])
    return _FLAGS[value]


def _error(name: str, detail: str) -> FieldError:
    return FieldError(pointer=f"?{name}", detail=detail)


def _refuse(errors: list[Any]) -> None:
    if errors:
        raise InvalidInput(errors, "the query string breaks the rules in errors")


IMPORT = ("mode", "dry_run", "name")
MODES = tuple(mode.value for mode in Mode)

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


AUDIT = ("subject", "actor", "action", "at[gte]", "at[lt]", *PAGE)
ACTIONS: tuple[str, ...] = get_args(Action)


class AuditRequest(NamedTuple):
    """Which page is asked for: up to `limit` entries that are older than the one with the id `before`."""

    filters: AuditFilters
    before: str | None
    limit: int


def load_audit_request(query: Query) -> AuditRequest:
    """Return what is asked for.

    Raises
    ------
    InvalidInput
    """
    found = load_parameters(query, AUDIT)
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, (attribute, read) in _READERS.items():
        try:
            values |= {attribute: read(found[name])} if name in found else {}
        except ValueError as error:
            errors.append(FieldError(pointer=f"?{name}", detail=str(error)))
    try:
        page = load_page_request({name: found[name] for name in PAGE if name in found})
    except InvalidInput as error:
        errors += error.errors
    if errors:
        raise InvalidInput(errors, "the query string breaks the rules in errors")
    return AuditRequest(AuditFilters(**values), page.after, page.limit)


def _id(text: str) -> str:
    if not 1 <= len(text) <= 200:
        raise ValueError("must be an id of 1 to 200 characters")
    return text


def _action(text: str) -> str:
    if text not in ACTIONS:
        raise ValueError(f"must be one of {', '.join(ACTIONS)}")
    return text


def _since(text: str) -> datetime:
    return time(text, Op.GTE)


def _until(text: str) -> datetime:
    return time(text, Op.LT)


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "subject": ("subject", _id),
    "actor": ("actor", _id),
    "action": ("action", _action),
    "at[gte]": ("since", _since),
    "at[lt]": ("until", _until),
}
