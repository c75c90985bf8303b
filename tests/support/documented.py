"""The OpenAPI document as a judge: calls operations by their id, and finds what an answer has that it does not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
from jsonschema import Draft202012Validator, FormatChecker

PROBLEM = "application/problem+json"
_OF_ALL = {
    *("content-type", "content-length", "date", "server", "connection", "transfer-encoding", "vary"),
    *("content-security-policy", "permissions-policy", "referrer-policy", "strict-transport-security"),
    *("x-content-type-options", "x-frame-options", "access-control-allow-origin", "access-control-expose-headers"),
}
"""Headers that HTTP itself needs, that the server adds, or that tell browsers to be careful."""


class Reply(NamedTuple):
    """An answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.content)

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


class Described(NamedTuple):
    """An operation of the document with its method and address."""

    method: str
    address: str
    operation: dict[str, Any]


class Documented:
    """A document, with its references resolved where they are asked for."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def operations(self) -> dict[str, Described]:
        """The operations by their id."""
        return {
            operation["operationId"]: Described(method.upper(), address, operation)
            for address, methods in self.document["paths"].items()
            for method, operation in methods.items()
        }

    @cached_property
    def by_address(self) -> dict[tuple[str, str], Described]:
        """The operations by method and address."""
        return {(found.method, found.address): found for found in self.operations.values()}

    def resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return what a reference refers to, and anything else as it is."""
        while "$ref" in value:
            found: Any = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def faults(self, described: Described, reply: Reply) -> list[str]:
        """Say what of an answer the document does not tell."""
        responses = described.operation["responses"]
        if str(reply.status) not in responses:
            return [f"{reply.status} is not documented: {reply.content[:300]!r}"]
        response = self.resolved(responses[str(reply.status)])
        known = {name.lower() for name in response.get("headers", {})} | _OF_ALL
        faults = [f"header {name} is not documented" for name in reply.headers if name not in known]
        faults += [
            f"header {name} is missing"
            for name, header in response.get("headers", {}).items()
            if self.resolved(header).get("required") and name.lower() not in reply.headers
        ]
        return faults + self._body_faults(response, reply)

    def _body_faults(self, response: dict[str, Any], reply: Reply) -> list[str]:
        content = response.get("content", {})
        if not reply.content:
            return []
        if reply.media_type not in content:
            return [f"{reply.media_type} is not documented for {reply.status}"]
        if reply.media_type != "application/json" and not reply.media_type.endswith("+json"):
            return []
        faults = self.schema_faults(content[reply.media_type]["schema"], reply.body)
        if reply.media_type == PROBLEM and reply.body["code"] not in response["x-codes"]:
            faults.append(f"code {reply.body['code']} is not documented for {reply.status}")
        return faults

    def schema_faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        """Say where a value breaks a schema of the document, or has members of which that says nothing."""
        return [f"{error.json_path}: {error.message[:300]}" for error in self._validator(schema).iter_errors(value)]

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        key = orjson.dumps(schema).decode()
        if key not in self._validators:
            whole = {**_closed(schema), "components": {"schemas": self._closed_schemas}}
            self._validators[key] = Draft202012Validator(whole, format_checker=FormatChecker())
        return self._validators[key]

    @cached_property
    def _closed_schemas(self) -> Any:
        return _closed(self.document["components"]["schemas"])


def _closed(schema: Any) -> Any:
    """Return the schema without room for members that it does not name."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


Send = Callable[[str, str, Mapping[str, str], bytes | None], Reply]
"""Sends method, address with query string, headers and body."""


class Call(NamedTuple):
    """What was called, with which body, and what came back."""

    id: str
    request: Any
    reply: Reply


class DocumentedClient:
    """Calls operations as a client generated from the document would; `faults` is what answers have beside it."""

    def __init__(self, documented: Documented, send: Send) -> None:
        self.documented = documented
        self._send = send
        self.calls: list[Call] = []
        self.faults: list[str] = []

    def __call__(
        self,
        operation: str,
        status: int,
        body: Any = None,
        media_type: str | None = None,
        accept: str | None = None,
        **parameters: Any,
    ) -> Reply:
        """Call an operation; parameters of all kinds go by name, with ``_`` for ``-``."""
        described = self.documented.operations[operation]
        address, headers = self._addressed(described, parameters)
        if accept:
            headers["Accept"] = accept
        if body is not None:
            offered = described.operation["requestBody"]["content"]
            headers["Content-Type"] = media_type or next(iter(offered))
            assert headers["Content-Type"] in offered
        content = body if isinstance(body, bytes | None) else orjson.dumps(body)
        reply = self._send(described.method, address, headers, content)
        assert reply.status == status, f"{operation}: {reply.status} {reply.content[:1000]!r}"
        self.faults += [f"{operation}: {fault}" for fault in self.documented.faults(described, reply)]
        self.calls.append(Call(operation, body, reply))
        return reply

    def _addressed(self, described: Described, given: dict[str, Any]) -> tuple[str, dict[str, str]]:
        address, query, headers = described.address, [], {}
        for reference in described.operation["parameters"]:
            parameter = self.documented.resolved(reference)
            name = parameter["name"]
            if name.replace("-", "_") not in given:
                continue
            value = given.pop(name.replace("-", "_"))
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            if parameter["in"] == "path":
                address = address.replace(f"{{{name}}}", quote(text, safe=""))
            elif parameter["in"] == "query":
                query.append(f"{quote(name)}={quote(text)}")
            else:
                headers[name] = text
        assert not given, f"{described.operation['operationId']} has no parameters {given}"
        assert "{" not in address, f"{address} lacks a part"
        return address + ("?" + "&".join(query) if query else ""), headers
