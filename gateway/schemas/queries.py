"""Query strings: one declaration of a parameter both parses it and documents it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, get_args

from gateway.schemas.times import parse_time
from gateway.services.customers.bulk_writes import Mode
from gateway.services.customers.query import Op
from gateway.services.errors import InvalidInput
from gateway.services.events.audit import ACTIONS, FORMER_NAMES
from gateway.services.events.history import MAX_EXPLAINED
from gateway.services.imports.records import ImportMode
from gateway.services.models.registry import Format
from gateway.services.models.segment_snapshots import Step
from shared.customer_files.header import COLUMNS_HELP, read_mapping
from shared.features import CUST_ID, CUST_ID_PATTERN, CUST_ID_RULE, cust_id_fault
from shared.model_contract import ACTIVE, Edition
from shared.problems import FieldError

JSONSchema = Mapping[str, Any]
"""A JSON Schema (2020-12)."""
Values = Mapping[str, Any]
"""The parsed parameters by name: those of the request, and the defaults of the others that have one."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query string.

    Attributes
    ----------
    read : returns the value of a text; raises ValueError saying what the text must be.
    schema : of the text, for the OpenAPI document.
    default : the value where the request has none; None: there is none then.
    alias : a second name that is understood, and not documented.
    """

    name: str
    read: Callable[[str], Any]
    description: str
    schema: JSONSchema
    default: Any = None
    required: bool = False
    alias: str | None = None


class QueryReader:
    """Reads the query strings of one route.

    Parameters
    ----------
    lenient : whether unknown parameters are ignored: others write query strings of pages, too.

    Attributes
    ----------
    defaults : the values of an empty query string, if nothing is `required`.
    """

    def __init__(self, parameters: Sequence[Parameter], *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._parameters = {name: p for p in parameters for name in (p.name, p.alias) if name is not None}
        self.required = tuple(p.name for p in parameters if p.required)
        self.defaults: Values = {p.name: p.default for p in parameters if p.default is not None}

    def read(self, query: Iterable[tuple[str, str]]) -> Values:
        """Return the values of (name, text) pairs, in their order, after the defaults.

        Raises
        ------
        InvalidInput
            naming every parameter that is unknown, given more than once, missing, or not what it must be.
        """
        values = dict(self.defaults)
        errors, seen = [], set()
        for name, text in query:
            parameter = self._parameters.get(name)
            if parameter is None and self._lenient:
                continue
            try:
                if name in seen:
                    raise ValueError("is given more than once")
                if parameter is None:
                    raise ValueError(self._unknown(name))
                values[name] = parameter.read(text)
            except ValueError as error:
                errors.append(fault(name, str(error)))
            seen.add(name)
        errors = errors or [fault(name, "is missing") for name in self.required if name not in seen]
        if errors:
            raise InvalidInput(errors, INVALID_QUERY)
        return values

    def _unknown(self, name: str) -> str:
        field = name.partition("[")[0]
        operators = [known[len(field) + 1 : -1] for known in self._parameters if known.startswith(f"{field}[")]
        if operators:
            return f"is not a known parameter; the operators of {field} are {', '.join(operators)}"
        known = dict.fromkeys(known.partition("[")[0] for known in self._parameters)
        return f"is not a known parameter; the known ones are {', '.join(known)}" if known else UNKNOWN


INVALID_QUERY: Final = "The query string is invalid: see errors."
UNKNOWN: Final = "is not a known parameter"


def fault(name: str, detail: str) -> FieldError:
    """Return what is wrong with a parameter."""
    return FieldError(pointer=f"?{name}", detail=detail)


def refused(name: str, detail: str) -> InvalidInput:
    """Return the error about one parameter."""
    return InvalidInput([fault(name, detail)], INVALID_QUERY)


# ---- kinds of parameters ----------------------------------------------------------------------------------------


def read_flag(text: str) -> bool:
    """Return true or false."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def flag(name: str, description: str) -> Parameter:
    """Return a parameter that is true or, unless given, false."""
    return Parameter(name, read_flag, description, {"type": "boolean", "default": False}, default=False)


def choice(
    name: str, description: str, values: Sequence[str], default: str | None = None, kind: type[StrEnum] | None = None
) -> Parameter:
    """Return a parameter that is one of some values, or a member of the enumeration `kind` of them."""

    def read(text: str) -> Any:
        if text not in values:
            raise ValueError(f"must be {' or '.join(values) if len(values) < 4 else 'one of ' + ', '.join(values)}")
        return kind(text) if kind else text

    schema = {"type": "string", "enum": list(values), **({"default": default} if default is not None else {})}
    return Parameter(name, read, description, schema, None if default is None else read(default))


def text(
    name: str, description: str, schema: JSONSchema = MappingProxyType({}), pattern: str | None = None, rule: str = ""
) -> Parameter:
    """Return a parameter that is a text; with a `pattern`, one that matches it or breaks the `rule`."""
    matches = re.compile(pattern).fullmatch if pattern else None

    def read(value: str) -> str:
        if matches and not matches(value):
            raise ValueError(rule)
        return value

    return Parameter(name, read, description, {"type": "string", **schema})


def whole(name: str, description: str, least: int, most: int, **schema: Any) -> Parameter:
    """Return a parameter that is a whole number."""

    def read(value: str) -> int:
        # Its length first: reading a number takes a time that grows with the square of its digits.
        if not (value.isascii() and value.isdigit() and len(value) < 9 and least <= int(value) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    found = {"type": "integer", "minimum": least, "maximum": most, **schema}
    return Parameter(name, read, description, found, schema.get("default"))


def read_time(value: str, op: Op) -> datetime:
    """Return a time.

    One that is finer than those stored is rounded so that the comparison comes out the same: up for what is at least or
    less, down for the others.
    """
    try:
        return parse_time(value, up=op in (Op.GTE, Op.LT))
    except ValueError as error:
        raise ValueError(f"{error} (write + as %2B)") from None


# ---- parameters of several routes -------------------------------------------------------------------------------

CUST_ID_SCHEMA: JSONSchema = {
    "type": "string",
    "pattern": f"^{CUST_ID_PATTERN}$",
    "minLength": 1,
    "maxLength": 64,
    "description": f"The bank's id of the customer; {CUST_ID_RULE}",
}

VERSION = r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"
"""A version's name, as the model service makes it."""
VERSION_OR_ACTIVE = rf"(?:{ACTIVE}|{VERSION})"

EXPLAIN = flag(
    "explain", "Include an explanation: what speaks for the segment, what for its rival, and what would change it"
)
EXPLAIN_MOVES = flag(
    "explain", f"Include what made the customer move to another segment; `limit` is at most {MAX_EXPLAINED} then"
)
HISTORY_LIMIT = whole("limit", "Maximum number of entries on the page", 1, 500, default=20)
AS_OF = Parameter(
    "as_of",
    lambda value: read_time(value, Op.LTE),
    "How it was at this time, which is not in the future and not before the change log began",
    {"type": "string", "format": "date-time"},
)
ERASE = flag("erase", "Erase everything that is kept about the customer, for good, instead of deleting it restorably")
MODE = choice(
    "mode",
    "What to do with customers that are already stored; `insert` leaves them unchanged",
    [mode.value for mode in Mode],
    Mode.UPSERT.value,
    Mode,
)
IMPORT_MODE = choice(
    "mode",
    "What to do with customers that are already stored; `insert` leaves them unchanged, and `mirror` deletes those "
    "that are missing in the file, restorably, once all of it has been stored",
    [mode.value for mode in ImportMode],
    ImportMode.UPSERT.value,
    ImportMode,
)
BACKGROUND = flag(
    "background", "Answer 202 as soon as all of the file has arrived, and go on without the client, who may leave"
)
CONFIRM_MISSING = whole(
    "confirm_missing",
    "With `mode=mirror`, how many stored customers are missing in the file, as `dry_run=true` tells. Needed where they "
    "are more than 5% of them; nobody is deleted where others are missing",
    0,
    99_999_999,
)
PREDICTING_VERSION = text(
    "version",
    "The version that predicts; the active one by default",
    {"pattern": f"^{VERSION_OR_ACTIVE}$"},
    VERSION_OR_ACTIVE,
    f"must be {ACTIVE!r} or the name of a version",
)
EDITION = choice(
    "edition",
    "The validation report for those who check a version, or the marketing edition: a page a segment, in plain words",
    get_args(Edition),
    "validation",
)
FORMAT = choice("format", "The figures, or a plot of them", ["json", *get_args(Format)], "json")
DRY_RUN = flag(
    "dry_run",
    "Check everything and write nothing: the receipt says what would happen, changes of segments and drift too",
)
FILE_NAME = text(
    "name",
    "A name for the file, for people",
    {"maxLength": 200},
    r"[^\x00-\x1f\x7f]{1,200}",
    "must be 1 to 200 characters without line breaks",
)

COLUMNS = Parameter("columns", read_mapping, COLUMNS_HELP, {"type": "string"})


def _cust_id(value: str) -> str:
    if wrong := cust_id_fault(value):
        raise ValueError(wrong)
    return value


WHOSE = Parameter(CUST_ID, _cust_id, "The customer whose erasures are wanted", CUST_ID_SCHEMA, required=True)


def _judged_elsewhere(name: str, description: str, schema: JSONSchema) -> Parameter:
    """Return a parameter that is passed on as it is: what it may say is for the model service to judge."""
    return Parameter(name, str, description, schema)


def _number(least: int, most: int, **more: int) -> JSONSchema:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


TRAINING = (
    _judged_elsewhere(
        "k", "Use this number of segments instead of choosing one; not together with k_min and k_max", _number(2, 20)
    ),
    _judged_elsewhere("k_min", "Smallest number of segments to try", _number(2, 20, default=3)),
    _judged_elsewhere("k_max", "Largest number of segments to try", _number(2, 20, default=8)),
    _judged_elsewhere(COLUMNS.name, COLUMNS.description, COLUMNS.schema),
    _judged_elsewhere("seed", "Random seed", _number(0, 2**32 - 1, default=0)),
    _judged_elsewhere(
        "activate",
        "Activate the new version if it passes the gate",
        {"type": "boolean", "default": False},
    ),
    _judged_elsewhere("by", "The person behind the request", {"type": "string", "maxLength": 200, "default": ""}),
    _judged_elsewhere(
        "note", "Why, or where the customers come from", {"type": "string", "maxLength": 1000, "default": ""}
    ),
    _judged_elsewhere(
        "name", "Name of the file in the body, for the report", {"type": "string", "maxLength": 200, "default": ""}
    ),
)


def _id(name: str, description: str) -> Parameter:
    schema = {"minLength": 1, "maxLength": 255}  # as long as the subject of a token may be
    return text(name, description, schema, r"(?s:.{1,255})", "must be an id of 1 to 255 characters")


def _time(name: str, op: Op, description: str) -> Parameter:
    return Parameter(name, lambda value: read_time(value, op), description, {"type": "string", "format": "date-time"})


def _action() -> Parameter:
    asked = choice("action", "What was done", ACTIONS)
    return replace(asked, read=lambda name: FORMER_NAMES.get(asked.read(name), asked.read(name)))


AUDIT = (
    _id("subject", "The id of what was changed, such as a CUST_ID"),
    _id("actor", "The id of who made the change, such as that of an API key"),
    _action(),
    _time("at[gte]", Op.GTE, "At this time or later"),
    _time("at[lt]", Op.LT, "Earlier than this time"),
    Parameter(
        "followers",
        read_flag,
        "Whether to include each customer that an import, an activation or a rollback has moved or changed; how many "
        "they are, the entry of the import or of the scoring tells",
        {"type": "boolean", "default": True},
        default=True,
    ),
)

STEP = choice(
    "step",
    "How far apart the points in time are. Each is the last of its minute, hour or day (in UTC); they are kept for a "
    "day, a hundred days and five years",
    [step.value for step in Step],
    Step.HOUR.value,
    Step,
)
SIZES = (
    STEP,
    _time("since", Op.GTE, "At this time or later; ahead of these comes the point that held then"),
    _time("until", Op.LT, "Earlier than this time"),
)


def _moment(name: str, description: str, *, required: bool = False) -> Parameter:
    schema = {"type": "string", "format": "date-time"}
    return Parameter(name, lambda value: read_time(value, Op.LTE), description, schema, required=required)


PERIOD = (
    _moment("since", "Where customers were at this time", required=True),
    _moment("until", "Where they were at this time; by default now"),
)
