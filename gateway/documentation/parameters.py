"""What can stand in an address: its variable parts, and the parameters of its query string."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.controllers.documentation import FILES
from gateway.documentation.bodies import CUST_ID_SCHEMA
from gateway.documentation.filters import SELECTION, filters
from gateway.documentation.operation import Schema
from gateway.routes import Route
from gateway.schemas.paging import DEFAULT_LIMIT, MAX_LIMIT
from gateway.schemas.queries import VERSION_OR_ACTIVE
from gateway.services.bulk_writes import Mode
from gateway.services.customer_query import FIELDS
from shared.model_contract import ACTIVE

_VARIABLE = re.compile(r"<(?:(?P<converter>\w+)(?:\((?P<choices>[^)]*)\))?:)?(?P<name>\w+)>")


def address(rule: str) -> str:
    """Return the address of a route as OpenAPI writes it: ``/models/{version}`` for ``/models/<version:version>``."""
    return _VARIABLE.sub(r"{\g<name>}", rule)


def _text(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


def _whole(description: str, least: int, most: int, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer", "minimum": least, "maximum": most, **schema}}


def _flag(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "boolean", "default": False}}


PATH: Mapping[str, Schema] = {
    "cust_id": {"description": CUST_ID_SCHEMA["description"], "schema": CUST_ID_SCHEMA},
    "segment_id": _text("The permanent id of a segment, such as seg-01"),
    "version": _text(
        f"The name of a model version, or `{ACTIVE}` for the active one", pattern=f"^{VERSION_OR_ACTIVE}$"
    ),
    "erasure_id": _text("The id of an erasure"),
    "key_id": _text("The public id of an API key: what follows csk_ in it, up to the next underscore"),
    "file": _text("The name of a file of the page", enum=sorted(FILES)),
    "import_id": _text("The id of an import"),
    "training_id": _text("The id of a training"),
    "name": _text("The name of a picture, such as elbow"),
    "kind": _text("Vector or pixels", enum=["svg", "png"]),
}
"""The variable parts of addresses."""

QUERY: Mapping[str, Schema] = {
    "erase": _flag("Remove the customer for good, wherever anything is kept about it, instead of deleting it"),
    "dry_run": _flag("Do everything but write: the counts say what would happen"),
    "mode": _text(
        "What becomes of customers that are stored already: `insert` leaves them as they are",
        enum=[mode.value for mode in Mode],
        default=Mode.UPSERT.value,
    ),
    "limit": _whole("Most entries on the page", 1, MAX_LIMIT, default=DEFAULT_LIMIT),
    "cursor": _text("`next_cursor` of the page before, unchanged; the first page without one"),
    "explain": _flag("Say why: what speaks for the segment and what for the rival, and what would change it"),
    "version": _text("The version that predicts; the active one unless given", pattern=f"^{VERSION_OR_ACTIVE}$"),
    "format": _text("The figures, or a picture of them", enum=["json", "svg", "png"], default="json"),
    "k": _whole("Take this number of segments instead of choosing it; not together with k_min and k_max", 2, 20),
    "k_min": _whole("Least number of segments to try", 2, 20, default=3),
    "k_max": _whole("Greatest number of segments to try", 2, 20, default=8),
    "seed": _whole("Random seed", 0, 2**32 - 1, default=0),
    "activate": _flag("Make the new version the active one if the gate lets it pass"),
    "by": _text("Who asks", maxLength=200, default=""),
    "note": _text("Why, or where the customers come from", maxLength=1000, default=""),
    **SELECTION,
    **dict(filters()),
}
"""The parameters of query strings; where one means something else, the operation says so."""

_UNTOLD: Schema = {"schema": {"type": "string"}}


def of_path(rule: str) -> list[dict[str, Any]]:
    """Return the parameters for the variable parts of a route's address."""
    names = [found["name"] for found in _VARIABLE.finditer(rule)]
    return [{"name": name, "in": "path", "required": True, **PATH.get(name, _UNTOLD)} for name in names]


def of_query(name: str, told: Mapping[str, Schema]) -> dict[str, Any]:
    """Return a parameter of a query string; what an operation tells of it comes before what is said of it elsewhere."""
    return {"name": name, "in": "query", "required": False, **(told.get(name) or QUERY.get(name, _UNTOLD))}


def names_of_query(route: Route) -> Iterator[str]:
    """Yield the names of a route's parameters; a field to filter by has one for every way to compare it."""
    by_field = set(FIELDS) <= set(route.parameters)
    yield from (name for name in route.parameters if not (by_field and name in FIELDS))
    if by_field:
        yield from (name for name, _ in filters())
