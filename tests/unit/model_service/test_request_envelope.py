from __future__ import annotations

import asyncio
import logging

import pytest

from model_service.api.middleware import RequestLog

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


def test_a_fault_after_the_answer_began_breaks_the_connection(caplog, capsys):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half way")

    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError, match="half way"):
        call(app, SCOPE)
    assert "half way" in caplog.text
    assert "GET /a%20b 200 " in capsys.readouterr().err


def test_other_scopes_pass_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)
        await send({"type": "lifespan.startup.complete"})

    assert call(app, {"type": "lifespan"}) == [{"type": "lifespan.startup.complete"}]
    assert seen == [{"type": "lifespan"}]
