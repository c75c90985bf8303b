"""What surrounds every request: its id, its line in the log, and the answer to an unforeseen fault."""

from __future__ import annotations

import logging
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_service.api.errors import problem_response
from model_service.log_format import current_request_id
from shared.problems import REQUEST_ID_HEADER, request_id

log = logging.getLogger("model_service.access")

_header = REQUEST_ID_HEADER.lower().encode()


class RequestEnvelope:
    """Pure ASGI middleware, because Starlette's base class costs as much as a prediction."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = request_id(_received_id(scope))
        token = current_request_id.set(identity)
        sender = _Sender(send, identity)
        started = time.perf_counter()
        try:
            await self.app(scope, receive, sender)
        except ClientDisconnect:
            log.info("the client left before its request was complete")
        except Exception:
            log.exception("the request failed")
            if sender.status:  # too late for another answer: the server must break the connection
                raise
            await _internal_error()(scope, receive, sender)
        finally:
            milliseconds = (time.perf_counter() - started) * 1e3
            # The raw path is percent-encoded, so that no request can write a line of its own into the log.
            path = scope["raw_path"].decode("latin-1")
            # Health is asked every second; those lines would drown the others.
            level = (
                logging.DEBUG if path.startswith(("/health/", "/v2/health/")) and sender.status < 400 else logging.INFO
            )
            log.log(level, "%s %s %d %.2f ms", scope["method"], path, sender.status, milliseconds)
            current_request_id.reset(token)


class _Sender:
    """Adds the request id to the answer and remembers its status (0 until it starts)."""

    def __init__(self, send: Send, identity: str) -> None:
        self._send = send
        self._identity = identity.encode()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (_header, self._identity)]
        await self._send(message)


def _received_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _header:
            return str(value.decode("latin-1"))
    return None


def _internal_error() -> ASGIApp:
    return problem_response(500, "internal_error", "The service failed to answer; its log has the reason.")
