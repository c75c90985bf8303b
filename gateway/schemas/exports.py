"""The query string of exports: which customers, what of them, in which kind of file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.schemas.customer_query import load_fields, load_filters
from gateway.schemas.export_files import KINDS
from gateway.schemas.queries import Query
from gateway.services.customer_query import FIELDS, MEMBERS, Filters
from gateway.services.errors import InvalidInput
from shared.problems import FieldError

EXPORT_PARAMETERS = ("format", "fields")
EXPORT = (*EXPORT_PARAMETERS, *FIELDS)
"""The parameters of an export. The fields are filters, which may also be written FIELD[operator]."""


class ExportRequest(NamedTuple):
    """A kind of file (a key of `KINDS`), conditions on the customers in it, and which of their `MEMBERS`."""

    kind: str
    filters: Filters
    members: Sequence[str]


def load_export(query: Query, preferred: Callable[[], str]) -> ExportRequest:
    """Return what is asked for; the kind of file is the `preferred` one where the query names none.

    Raises
    ------
    InvalidInput
    """
    pairs = list(query)
    named = dict(pairs)
    kind = named["format"] if "format" in named else preferred()
    if kind not in KINDS:
        error = FieldError(pointer="?format", detail=f"must be {', '.join(KINDS)}")
        raise InvalidInput([error], "the query string breaks the rules in errors")
    return ExportRequest(kind, load_filters(pairs, EXPORT_PARAMETERS), load_fields(pairs) or MEMBERS)
