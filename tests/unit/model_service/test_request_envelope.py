from __future__ import annotations

import asyncio

import pytest

from model_service.api.middleware import RequestLog
from shared.telemetry import logs

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "path": "/a b",
    "raw_path": b"/a%20b",
    "headers": [(b"host", b"testserver")],
}


def call(app, scope):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(RequestLog(app)(scope, receive, send))
    return sent


def test_a_fault_after_the_answer_began_breaks_the_connection(capfd):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half way")

    logs.configure("INFO", "text")
    with pytest.raises(RuntimeError, match="half way"):
        call(app, SCOPE)
    *failed, line = capfd.readouterr().err.splitlines()
    assert " model_service.access: the request failed" in failed[0]
    assert failed[-1] == "RuntimeError"  # its text is not ours
    assert " model_service.access: GET - 200 " in line  # nothing of the address


def test_other_scopes_pass_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        await send({"type": "lifespan.startup.complete"})

    assert call(app, {"type": "lifespan"}) == [{"type": "lifespan.startup.complete"}]
    assert seen == [{"type": "lifespan"}]
