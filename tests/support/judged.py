"""A test client that fails when an answer has what the OpenAPI document does not tell."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from gateway.openapi import document_of
from gateway.routes import address
from support.documented import Described, Documented, Reply

BODIES = 20
"""Of how many answers of each kind the bodies are looked at: that takes milliseconds."""

_seen: Counter[tuple[str, str, int]] = Counter()


_of_routes: dict[frozenset[str], Documented] = {}


def documented(app: Flask) -> Documented:
    """Return the document of an application; those with the same routes have the same."""
    routes = frozenset(rule.endpoint for rule in app.url_map.iter_rules())
    if routes not in _of_routes:
        _of_routes[routes] = Documented(orjson.loads(document_of(app)))
    return _of_routes[routes]


class JudgedClient(FlaskClient):
    """Looks every answer up in the document, but those to addresses and methods that it does not have.

    Attributes
    ----------
    judges : whether it does; not where a test makes up errors that cannot happen there.
    """

    judges = True

    def open(self, *arguments: Any, **options: Any) -> TestResponse:
        answer = super().open(*arguments, **options)
        described = _described(self.application, answer) if self.judges else None
        if described is not None:
            assert (faults := _faults(self.application, described, answer)) == [], f"{described[:2]}: {faults}"
        return answer


def _described(app: Flask, answer: TestResponse) -> Described | None:
    request = answer.request
    try:
        rule, _ = app.url_map.bind("").match(request.path, request.method, return_rule=True)
    except HTTPException:
        return None
    method = "GET" if request.method == "HEAD" else request.method
    return documented(app).by_address.get((method, address(rule.rule)))


def _faults(app: Flask, described: Described, answer: TestResponse) -> list[str]:
    headers = {name.lower(): value for name, value in answer.headers}
    kind = (described.method, described.address, answer.status_code)
    looked = not answer.is_streamed and answer.request.method != "HEAD" and _seen[kind] < BODIES
    _seen[kind] += 1
    return documented(app).faults(described, Reply(answer.status_code, headers, answer.data if looked else b""))
