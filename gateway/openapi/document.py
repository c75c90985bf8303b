"""Puts the OpenAPI document together: routes, the operations that describe them, schemas, errors and examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.controllers.http import JSON
from gateway.openapi import headers, parameters
from gateway.openapi.components import COMPONENTS, page_of, reference
from gateway.openapi.problems import (
    ALWAYS,
    BODY_READ,
    COUNTED,
    IN_SESSIONS,
    MALFORMED,
    NO_SUCH_ADDRESS,
    PAGES_BUSY,
    REPEATED,
    SCOPED,
    WITH_BODY,
    Known,
    Problems,
    known_problems,
)
from gateway.openapi.schemas import OPENAPI, Shapes
from gateway.routes import Resource, Route, Work, address
from gateway.routes.operation import Answer, Body, Link, Operation, PageOf, Shape
from gateway.schemas.queries import JSONSchema, Parameter
from gateway.services.customers.customer import Assignment
from shared.findings import Finding
from shared.model_contract import CSV
from shared.problems import Problem

Document = dict[str, Any]

_EXAMPLES = Path(__file__).with_name("examples.json")


def described(resources: Sequence[Resource]) -> Document:
    """Return the document of these resources' routes."""
    return _Writer().document(resources)


class _Writer:
    def __init__(self) -> None:
        self._shapes = Shapes()
        self._problems = Problems(self._shapes.schema(Problem))
        self._named: dict[str, JSONSchema] = dict(COMPONENTS)
        self._parameters: dict[str, Any] = headers.request_components()
        self._examples: Mapping[str, Any] = json.loads(_EXAMPLES.read_text(encoding="utf-8"))
        for kind in (Assignment, Finding):
            self._shapes.schema(kind)

    def document(self, resources: Sequence[Resource]) -> Document:
        paths: dict[str, dict[str, Any]] = {}
        for resource in resources:
            for route in resource.routes:
                rule = resource.prefix + route.path
                operation = self._operation(resource.name, rule, route)
                paths.setdefault(address(rule), {})[route.method.lower()] = operation
        return {
            "openapi": OPENAPI,
            "info": {
                "title": TITLE,
                "summary": SUMMARY,
                "version": VERSION,
                "description": text(known_problems()),
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": resource.name, "description": resource.text} for resource in resources],
            "paths": paths,
            "components": self._components(),
            "externalDocs": MODEL_SERVICE,
        }

    def _components(self) -> dict[str, Any]:
        return {
            "schemas": {**self._named, **self._shapes.components, "Problem": self._problem()},
            "responses": self._problems.components,
            "parameters": self._parameters,
            "headers": headers.ANSWER,
            "securitySchemes": SECURITY,
        }

    def _problem(self) -> dict[str, Any]:
        return self._shapes.components["Problem"] | {"examples": [self._examples["createCustomer"]["422"]]}

    def _operation(self, tag: str, rule: str, route: Route) -> dict[str, Any]:
        operation = route.operation
        example = self._examples.get(operation.id, {})
        answers = {
            str(status): self._answer(answer, route, example.get(str(status)))
            for status, answer in sorted(_answers(operation, route).items())
        }
        written = {
            "operationId": operation.id,
            "tags": [tag],
            "summary": operation.summary,
            "description": _with_scope(operation.text, route),
            "parameters": list(self._parameters_of(rule, route)),
            "requestBody": self._body(operation.body, example.get("request")) if operation.body else None,
            "responses": {**answers, **self._problems.responses(_codes(operation, rule, route))},
            "security": [{name: [str(route.scope)]} for name in SECURITY] if route.scope else [],
        }
        return {name: value for name, value in written.items() if value is not None}

    def _parameters_of(self, rule: str, route: Route) -> Iterator[dict[str, Any]]:
        yield from parameters.of_path(rule)
        yield from map(self._query_parameter, route.parameters)
        repeatable = (headers.IDEMPOTENCY_KEY,) if _repeatable(route) else ()
        for name in (*route.operation.headers, *repeatable, headers.REQUEST_ID):
            yield {"$ref": f"#/components/parameters/{name}"}

    def _query_parameter(self, parameter: Parameter) -> dict[str, Any]:
        """Return a reference to the parameter, or the parameter where the name stands for something else elsewhere."""
        found = parameters.of_query(parameter)
        component = parameter.name.replace("[", ".").rstrip("]")
        if self._parameters.setdefault(component, found) != found:
            return found
        return {"$ref": f"#/components/parameters/{component}"}

    def _body(self, body: Body, example: Any) -> dict[str, Any]:
        content = self._content(body, example)
        found = {"required": body.required, "content": content}
        return found | {"description": body.text} if body.text else found

    def _answer(self, answer: Answer, route: Route, example: Any) -> dict[str, Any]:
        names = (*answer.headers, headers.REPLAYED) if _repeatable(route) else answer.headers
        found: dict[str, Any] = {"description": answer.text, "headers": headers.references(names)}
        if content := self._content(answer, example):
            found["content"] = content
        if answer.links:
            found["links"] = {name: _link(link) for name, link in answer.links.items()}
        return found

    def _content(self, message: Answer | Body, example: Any) -> dict[str, Any]:
        described = dict.fromkeys(message.media_types, message.shape) if message.shape is not None else {}
        content = {kind: {"schema": self._schema(shape)} for kind, shape in (described | dict(message.others)).items()}
        for kind in content if example is not None else ():
            if kind == CSV if isinstance(example, str) else kind == JSON or kind.endswith("+json"):
                content[kind]["example"] = example
        return content

    def _schema(self, shape: Shape) -> JSONSchema:
        if isinstance(shape, PageOf):
            if isinstance(shape.kind, type):
                self._shapes.schema(shape.kind)
            name, schema = page_of(shape)
            self._named[name] = schema
            return reference(name)
        if isinstance(shape, str):
            return reference(shape)
        if isinstance(shape, tuple):
            return {"anyOf": [reference(name) for name in shape]}
        return shape if isinstance(shape, Mapping) else self._shapes.schema(shape)


def _answers(operation: Operation, route: Route) -> Mapping[int, Answer]:
    if not _repeatable(route):
        return operation.answers
    again = Answer(
        "Carried out before, under this Idempotency-Key; what came of it is there", headers=(headers.LOCATION,)
    )
    return {**operation.answers, 303: again}


def _link(link: Link) -> dict[str, Any]:
    return {"operationId": link.operation, "parameters": dict(link.parameters)}


def _with_scope(text: str, route: Route) -> str:
    scope = f"Needs the scope `{route.scope}`." if route.scope else ""
    return "\n\n".join(part for part in (text, scope) if part)


def _repeatable(route: Route) -> bool:
    return route.method == "POST" and route.scope is not None


def _codes(operation: Operation, rule: str, route: Route) -> Iterator[str]:
    yield from operation.problems
    yield from ALWAYS
    if route.scope:
        yield from SCOPED if route.method == "GET" else (*SCOPED, IN_SESSIONS)
    if _repeatable(route):
        yield from (*REPEATED, *BODY_READ)
    if not rule.startswith("/health/"):
        yield from COUNTED
    if route.work is Work.PAGE:
        yield PAGES_BUSY
    if operation.body:
        yield from WITH_BODY
        if any(kind.endswith("json") for kind in (*operation.body.media_types, *operation.body.others)):
            yield MALFORMED
    if "<" in rule:
        yield NO_SUCH_ADDRESS


TITLE = "Customer segmentation"
VERSION = "1.0.0"
"""Of this interface, not of the program."""
SUMMARY = "Card holders, the segments they are in, and the model that finds the segments"

SECURITY: Mapping[str, Mapping[str, str]] = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "csk_…",
        "description": "An API key, made with `python -m gateway keys create` or POST /api/v1/api-keys; shown once.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the OpenID Connect issuer that this installation trusts, if it trusts one.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-session",
        "description": (
            "The session of somebody who has signed in at /sign-in, for the pages of this service (without TLS it is "
            "called `session`). What is not GET or HEAD needs its CSRF token in `X-CSRF-Token`."
        ),
    },
}
MODEL_SERVICE: Mapping[str, str] = {
    "url": "/openapi/model-service.json",
    "description": "The document of the model service, which only this gateway reaches",
}

_TEXT = """\
A bank stores its card holders here and learns which segment each belongs to, how sure that is, and why.

**Keys.** Send an API key (`Authorization: Bearer csk_…`) or, where this installation trusts an issuer, its token in the
same header. Each operation names the scope it needs; `admin` includes all of them.

**Changes.** Every customer has an ETag. Send it as `If-Match` with a change: 412 means that it has changed since.

**Retries.** Send a POST with an `Idempotency-Key`: repeated with the same key, it is carried out only once.

**Pages** follow `next_cursor`, also in `Link`. **Rate limits** are in `RateLimit`; with 429, `Retry-After` says how
long to wait.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`, the `request_id` and, for invalid values,
`errors` with a JSON pointer each; a pointer that begins with `?` names a query parameter. Unknown query parameters are
refused.

<details><summary>All codes</summary>

{codes}

</details>

**Times** are in UTC (RFC 3339). **HEAD** works wherever GET does. Responses may gain members; clients should ignore
those they do not know.
"""


def text(problems: Mapping[str, Known]) -> str:
    """Return the first page, with the table of all problem codes."""
    rows = [f"| `{code}` | {known.status} | {known.text} |" for code, known in sorted(problems.items())]
    return _TEXT.format(codes="\n".join(["| code | status | meaning |", "|---|---|---|", *rows]))
