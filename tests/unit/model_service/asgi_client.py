"""A client that speaks ASGI to the application, without a network, and the one assertion about failed requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI

from shared.problems import MEDIA_TYPE
from shared.secret_rules import MODEL_SERVICE_SECRET_IN_DEVELOPMENT

KEY = {"authorization": f"Bearer {MODEL_SERVICE_SECRET_IN_DEVELOPMENT}"}
"""What the gateway shows; a request may bring another."""
HEADERS = {"host": "testserver", **KEY}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class AsgiClient:
    """Calls an ASGI application as a server would, from its start-up to its shutdown."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)

    def __enter__(self) -> AsgiClient:
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def wait(self, seconds: float) -> None:
        """Let the application's background work run."""
        self._runner.run(asyncio.sleep(seconds))

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, headers)

    def post(self, path: str, value: Any, **headers: str) -> Answer:
        return self.request("POST", path, orjson.dumps(value), {"content-type": "application/json", **headers})

    def request(
        self, method: str, path: str, body: bytes | list[bytes] | None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return self._runner.run(self._call(method, path, body, headers or {}))

    async def _call(
        self, method: str, path: str, body: bytes | list[bytes] | None, headers: Mapping[str, str]
    ) -> Answer:
        path, _, query = path.partition("?")
        chunks = body if isinstance(body, list) else [body or b""]
        messages = [
            {"type": "http.request", "body": chunk, "more_body": i < len(chunks) - 1} for i, chunk in enumerate(chunks)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.lower().replace("_", "-").encode(), value.encode())
                for name, value in {**HEADERS, **headers}.items()
            ],
            "client": ("testclient", 1),
            "server": ("testserver", 80),
        }
        await self.app(scope, receive, send)
        start, *rest = sent
        received = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], received, b"".join(message.get("body", b"") for message in rest))


def assert_problem(answer: Answer, status: int, code: str, pointers: list[str] | None = None) -> dict[str, Any]:
    """Check that an answer is this problem, blaming exactly the fields at `pointers`; return its body."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = answer.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code", "request_id"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(code)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert sorted(e["pointer"] for e in body.get("errors", [])) == sorted(pointers or [])
    assert all(e["detail"] for e in body.get("errors", []))
    assert "server" not in answer.headers
    for leak in (b"Traceback", b".py", b"site-packages"):
        assert leak not in answer.body
    return body
