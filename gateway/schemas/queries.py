"""The query string of everything but lists: which parameters there are, and what they may say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, cast, get_args

from gateway.services.errors import InvalidInput
from gateway.services.model import Asked
from gateway.services.registry_ports import Format
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

ASKED = Asked._fields
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


def load_asked(query: Query) -> Asked:
    """Return how a prediction is asked for.

    Raises
    ------
    InvalidInput
    """
    found = load_parameters(query, ASKED)
    version = found.get("version")
    if version is not None and not _version_or_active.fullmatch(version):
        _refuse([_error("version", f"must be {ACTIVE!r} or the name of a version")])
    return Asked(_flag(found, "explain"), version)


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
