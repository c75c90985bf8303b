"""The words in which `gateway.openapi.operations` describes what a method of an address does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from gateway.controllers.http import JSON

Schema = Mapping[str, Any]
"""A JSON Schema (2020-12)."""

Shape: TypeAlias = Any
"""What a body looks like: a type (a TypedDict, a dataclass, a union of them), a `Schema`, a `Named` one, or None."""


class Named(NamedTuple):
    """A schema that is a component of the document, so that generated clients have a class of this name.

    Attributes
    ----------
    kinds : types whose schemas it refers to.
    """

    name: str
    schema: Schema
    kinds: tuple[type, ...] = ()


BINARY: Schema = {"type": "string", "format": "binary"}
"""Any bytes."""
TEXT: Schema = {"type": "string"}


class Link(NamedTuple):
    """What can be done next, and which parameters of that come from where in this answer (runtime expressions)."""

    operation: str
    parameters: Mapping[str, str]


class Answer(NamedTuple):
    """An answer that is no error.

    Attributes
    ----------
    text : what it means, in a sentence.
    shape : its body; None where there is none.
    media_types : those that `shape` describes.
    others : bodies of further media types.
    headers : names from `gateway.openapi.headers.ANSWER` beyond those on every answer.
    links : what can be done next, by name.
    """

    text: str
    shape: Shape = None
    media_types: tuple[str, ...] = (JSON,)
    others: Mapping[str, Shape] = {}
    headers: tuple[str, ...] = ()
    links: Mapping[str, Link] = {}


class Body(NamedTuple):
    """What a request carries."""

    shape: Shape
    text: str = ""
    media_types: tuple[str, ...] = (JSON,)
    others: Mapping[str, Shape] = {}
    required: bool = True


class Operation(NamedTuple):
    """What a method of an address does.

    Attributes
    ----------
    id : its name for generated clients; never changes.
    summary, text : one line, and all else that a caller must know (Markdown).
    answers : by status, those that are no errors.
    body : what it takes; None where nothing.
    problems : codes of the errors it can give, beyond those that every operation of its kind can.
    headers : names from `gateway.openapi.headers.REQUEST` that it heeds, beyond those that all do.
    query : descriptions of parameters that mean something else here than elsewhere.
    """

    id: str
    summary: str
    text: str
    answers: Mapping[int, Answer]
    body: Body | None = None
    problems: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    query: Mapping[str, Schema] = {}


class Resource(NamedTuple):
    """The operations of one resource, by method and address as in ``GET /api/v1/customers/{cust_id}``."""

    name: str
    text: str
    operations: Mapping[str, Operation]
