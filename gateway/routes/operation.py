"""What the OpenAPI document says of a route, beside what its row says already: meaning, answers, body, problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from gateway.controllers.http import JSON

Shape: TypeAlias = Any
"""What a body looks like: a type (TypedDict, dataclass, a union of them), a JSON Schema, the name of a schema in
`gateway.openapi.components`, a tuple of such names of which one fits, a `PageOf`, or None."""

BINARY: Final[Mapping[str, Any]] = {"type": "string", "format": "binary"}
"""Any bytes."""
TEXT: Final[Mapping[str, Any]] = {"type": "string"}

STORE: Final = ("store_unavailable", "store_error")
"""The problems of whatever reads or writes the database."""
MODEL: Final = ("model_unavailable", "model_busy", "model_timeout", "model_malformed", "model_denied")
"""The problems of whatever asks the model service."""


@dataclass(frozen=True, slots=True)
class PageOf:
    """A page of things of a type, or of those that a named schema describes; some have a total, or are as of a time."""

    kind: type | str
    counted: bool = False
    past: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """What can be done next, and which parameters of that come from where in this answer (runtime expressions)."""

    operation: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no error.

    Attributes
    ----------
    text : what it means, in a sentence.
    media_types : those that `shape` describes.
    others : bodies of further media types.
    headers : names from `gateway.openapi.headers.ANSWER` beyond those on every answer.
    links : what can be done next, by name.
    """

    text: str
    shape: Shape = None
    media_types: tuple[str, ...] = (JSON,)
    others: Mapping[str, Shape] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    links: Mapping[str, Link] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries."""

    shape: Shape
    text: str = ""
    media_types: tuple[str, ...] = (JSON,)
    others: Mapping[str, Shape] = field(default_factory=dict)
    required: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """What a method of an address does.

    Attributes
    ----------
    id : its name for generated clients; never changes.
    summary, text : one line, and all else that a caller must know (Markdown).
    answers : by status, those that are no errors.
    body : what it takes; None where nothing.
    problems : codes of the errors it can give, beyond those that every operation of its kind can.
    headers : names from `gateway.openapi.headers.REQUEST` that it heeds, beyond those that all do.
    """

    id: str
    summary: str
    text: str
    answers: Mapping[int, Answer]
    body: Body | None = None
    problems: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


UNCHANGED: Final = Answer("The copy at hand is still the right one", headers=("ETag",))
"""The answer 304."""


def page(operation: str, of: PageOf, **links: Link) -> dict[int, Answer]:
    """Return the answers of an operation that gives a page of a list; the next one is a link."""
    links = {"next": Link(operation, {"cursor": "$response.body#/next_cursor"}), **links}
    return {200: Answer("A page", of, headers=("Link",), links=links)}
