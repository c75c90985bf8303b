"""The script of a well-behaved model service whose registry is the fake one."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from fakes.registry import FakeRegistry

from gateway.services.customers.store import Block
from gateway.services.errors import RegistryRefusal
from gateway.services.models.registry import ServedFile, Upload
from shared.model_contract import EVENT_HEADER
from support.scripted_server import Request, Script, ScriptedServer, http, refused


def serving_registry(registry: FakeRegistry) -> Script:
    """Return the script."""

    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        try:
            connection.sendall(_http(_answer(registry, request)))
        except RegistryRefusal as refusal:
            connection.sendall(refused(refusal))
        return True

    return script


def _http(value: Any) -> bytes:
    if isinstance(value, str):
        return http(value, headers="Content-Type: text/plain; charset=utf-8\r\n")
    if not isinstance(value, ServedFile):
        return http(json.dumps(value), "202 Accepted" if "progress" in value else "200 OK")
    headers = f"Content-Type: {value.media_type}; charset=utf-8\r\n"
    headers += f"ETag: {value.validator}\r\nCache-Control: {value.caching}\r\n"
    headers += f"Content-Security-Policy: {value.policy}\r\n"
    if value.content is None:
        return f"HTTP/1.1 304 Not Modified\r\n{headers}\r\n".encode()
    return http(value.content, headers=headers)


def _answer(registry: FakeRegistry, request: Request) -> Any:
    path = request.path.removeprefix("/v1/").partition("?")[0]
    for method, pattern, call in _ROUTES:
        if method == request.method and (parts := re.fullmatch(pattern, path)):
            return call(registry, request, *parts.groups())
    raise AssertionError(request)


def _train(registry: FakeRegistry, request: Request) -> Any:
    size = int(request.headers["content-length"]) if "content-length" in request.headers else None
    upload = Upload(request.headers["content-type"], size, [request.body])
    return registry.train(upload, dict(parse_qsl(request.path.partition("?")[2])))


def _blocks(request: Request) -> list[Block]:
    assert request.headers["content-type"] == "application/x-ndjson"
    return [Block(**{"ids": [], **json.loads(line)}) for line in request.body.splitlines()]


def _event(request: Request) -> str | None:
    return request.headers.get(EVENT_HEADER.lower())


def _order(request: Request) -> Any:
    assert request.headers["content-type"] == "application/json"
    return json.loads(request.body)


def _draw(registry: FakeRegistry, request: Request, name: str, kind: Any) -> Any:
    figure = _order(request)
    assert ("transitions" in figure) is (name == "transitions")
    return registry.draw(figure, kind)


def _known(request: Request) -> str | None:
    return request.headers.get("if-none-match")


def _asked(request: Request) -> list[Any]:
    """The values of the query."""
    return [value for _, value in parse_qsl(request.path.partition("?")[2])]


_NAME = "([^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", "models", lambda r, _: r.models()),
    ("POST", "models", _train),
    ("POST", "models/rollback", lambda r, request: r.roll_back(_order(request), _event(request))),
    ("GET", f"models/{_NAME}", lambda r, _, version: r.model(version)),
    ("GET", f"models/{_NAME}/gate", lambda r, _, version: r.gate(version)),
    (
        "POST",
        f"models/{_NAME}/activate",
        lambda r, request, version: r.activate(version, _order(request), _event(request)),
    ),
    ("GET", f"models/{_NAME}/report", lambda r, request, version: r.report(version, _known(request), *_asked(request))),
    ("GET", f"models/{_NAME}/plots", lambda r, _, version: r.plots(version)),
    ("GET", f"models/{_NAME}/plots/(.+)[.](svg|png)", lambda r, request, *named: r.plot(*named, _known(request))),
    ("POST", f"models/{_NAME}/preview", lambda r, request, version: r.preview(version, _blocks(request))),
    ("POST", f"models/{_NAME}/drift", lambda r, request, version: r.drift(version, _blocks(request))),
    ("POST", "plots/(drift|transitions)[.](svg|png)", _draw),
    ("GET", "/openapi.json", lambda r, request: r.openapi_document(_known(request))),
    ("GET", "activations", lambda r, _: r.activations()),
    ("PATCH", f"segments/{_NAME}", lambda r, request, segment: r.label(segment, _order(request))),
    ("POST", "erasures", lambda r, request: {"erased": r.erase_from_trainings(_order(request)["CUST_ID"])}),
    ("GET", "trainings", lambda r, _: r.trainings()),
    ("GET", f"trainings/{_NAME}", lambda r, _, training: r.training(training)),
    ("GET", f"trainings/{_NAME}/log", lambda r, _, training: r.training_log(training)),
    ("POST", f"trainings/{_NAME}/cancel", lambda r, _, training: r.cancel(training)),
]
