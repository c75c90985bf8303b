"""What every request passes: its id and log line, an end that waits, answers to unexpected errors, the secret."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_service import metrics
from model_service.api.errors import is_open_inference, problem_response
from shared.contract import READY
from shared.hosts import host_fault
from shared.networks import Network, is_within
from shared.problems import REQUEST_ID_HEADER, code_of, request_id
from shared.telemetry import traces
from shared.telemetry.logs import AccessLog, current_request_id

log = logging.getLogger("model_service.access")
access_log = AccessLog(log.name)

_header = REQUEST_ID_HEADER.lower().encode()
_parent = traces.TRACEPARENT.encode()


LINGER_BYTES: Final = 64 * 1024 * 1024
LINGER_SECONDS: Final = 5.0
"""How much of a body that nobody wants is taken in after the answer, and for how long.

A connection that is closed while bytes of the client wait on it is reset, which can wipe out the answer before the
client has read it (RFC 9112 section 9.6): many clients send their whole body before they look for an answer.
"""


class RequestLog:
    """Gives every request its id and its line in the log, and answers an unexpected error.

    Pure ASGI middleware, because Starlette's base class costs as much as a prediction.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = _read_head(scope["headers"])
        identity = request_id(head.request_id)
        token = current_request_id.set(identity)
        receiver = _Receiver(receive, head)
        sender = _Sender(send, identity, receiver)
        started = time.perf_counter()
        try:
            await _app_for(self.app, scope, head)(scope, receiver, sender)
        except ClientDisconnect:
            log.info("the client disconnected before its request was complete")
        except Exception:
            log.exception("the request failed")
            if sender.status:  # too late for another answer: the server must break the connection
                raise
            await _internal_error()(scope, receive, sender)
        finally:
            _observe(scope, identity, sender.status, time.perf_counter() - started)
            current_request_id.reset(token)


class TracedRequests:
    """Gives every request a span, named by its route; around all else, and only where traces are on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self.app(scope, receive, send)
            return
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == _parent), None)
        method = scope["method"]
        with traces.span(method, "server", parent, http__request__method=method) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.note(http__response__status_code=message["status"])
                    if message["status"] >= 500:
                        span.fail()
                await send(message)

            await self.app(scope, receive, told)
            if route := _route(scope):
                span.name(f"{method} {route}")
                span.note(http__route=route)


_UNTRACED: Final = ("/health/", "/v2/health/", "/metrics")
"""What a monitor reads every second."""


def _route(scope: Scope) -> str | None:
    """Return the address of the request's route, with the names of its variables; None where nothing is there."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def _observe(scope: Scope, identity: str, status: int, seconds: float) -> None:
    """Count the request and write its line: its route, and nothing of the address as it was sent."""
    route = _route(scope)
    metrics.requests.answered(scope["method"], route, status or CLIENT_LEFT, seconds)
    # Health is checked every second; those lines would drown the others.
    quiet = status < 400 and route is not None and route.startswith(("/health/", "/v2/health/"))
    level = logging.DEBUG if quiet else logging.INFO
    if access_log.takes(level):
        access_log.write(
            level, identity, method=scope["method"], route=route, status=status, duration_ms=round(seconds * 1e3, 2)
        )


@dataclass(slots=True)
class _Head:
    """What the headers say that matters before anybody else looks at them."""

    request_id: str | None = None
    hosts: list[str] = field(default_factory=list)
    has_body: bool = False
    waits: bool = False
    """Whether the client sends its body only if it is asked for it (Expect: 100-continue)."""


def _read_head(headers: Iterable[tuple[bytes, bytes]]) -> _Head:
    head = _Head()
    for name, value in headers:
        if name == b"host":
            head.hosts.append(value.decode("latin-1"))
        elif name == b"content-length":
            head.has_body |= value != b"0"
        elif name == b"transfer-encoding":
            head.has_body = True
        elif name == b"expect":
            head.waits = True
        elif name == _header:
            head.request_id = value.decode("latin-1")
    return head


def _app_for(app: ASGIApp, scope: Scope, head: _Head) -> ASGIApp:
    """Return the application, or what refuses a request that names no host, or not just one."""
    fault = host_fault(head.hosts) if scope["http_version"] == "1.1" else None
    return problem_response(400, code_of(400), fault) if fault else app


class _Receiver:
    """Passes the body on and knows how much of it is left."""

    __slots__ = ("_receive", "unread", "waits")

    def __init__(self, receive: Receive, head: _Head) -> None:
        self._receive = receive
        self.unread = head.has_body
        self.waits = head.waits

    async def __call__(self) -> Message:
        message = await self._receive()
        self.waits = False
        if not message.get("more_body"):  # it ends here, or the client has left
            self.unread = False
        return message

    async def discard(self) -> None:
        """Take in what the client is still sending, up to `LINGER_BYTES` and for `LINGER_SECONDS` at most."""
        size = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self.unread and size <= LINGER_BYTES:
                    size += len((await self()).get("body", b""))


class _Sender:
    """Adds the request id to the answer, remembers its status (0 until it starts), and ends it after the request."""

    __slots__ = ("_identity", "_receiver", "_send", "status")

    def __init__(self, send: Send, identity: str, receiver: _Receiver) -> None:
        self._send = send
        self._identity = identity.encode()
        self._receiver = receiver
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (_header, self._identity)]
        elif self._receiver.unread and not self._receiver.waits and not message.get("more_body"):
            await self._send({**message, "more_body": True})  # the whole answer: only now may the client take its time
            await self._receiver.discard()
            message = {"type": "http.response.body"}
        await self._send(message)


def _internal_error() -> ASGIApp:
    return problem_response(500, "internal_error", "The request failed unexpectedly; the log has the reason.")


OPEN = frozenset({"/health/live", READY, "/v2/health/live", "/v2/health/ready", "/openapi.json"})
"""What is answered without a secret: health, for monitoring, and the API's description."""

METRICS: Final = "/metrics"
_FORWARDED = (b"x-forwarded-for", b"forwarded")
CLIENT_LEFT: Final = 499
"""Stands for the status of a request whose client left before there was one, as nginx has it."""

CHALLENGE = 'Bearer realm="model-service"'
_SCHEME = b"bearer "


class Authentication:
    """Pure ASGI middleware that lets only requests through that carry ``Authorization: Bearer SECRET``.

    Parameters
    ----------
    secret : the gateway's, which opens everything.
    inference_secret : that of inference clients, which opens the Open Inference Protocol alone; None for no such one.
    metrics_networks : from where metrics can be read without a secret.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret: str,
        inference_secret: str | None = None,
        metrics_networks: Sequence[Network] = (),
    ) -> None:
        self.app = app
        self._networks = metrics_networks
        self._secret = secret.encode()
        self._inference_secret = inference_secret.encode() if inference_secret else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http" or self._admits(scope):
            await self.app(scope, receive, send)
            return
        detail = "This service answers only the gateway, which must send the secret that both tiers share."
        if self._inference_secret and is_open_inference(scope["path"]):
            detail = "The Open Inference Protocol answers only those who send the secret for inference clients."
        refusal = problem_response(401, "unauthenticated", detail, headers={"www-authenticate": CHALLENGE})
        await refusal(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if scope["path"] in OPEN or (scope["path"] == METRICS and self._is_inside(scope)):
            return True
        for name, value in scope["headers"]:
            if name == b"authorization":
                return value[:7].lower() == _SCHEME and self._knows(value[7:].lstrip(b" "), scope["path"])
        return False

    def _is_inside(self, scope: Scope) -> bool:
        """Whether the request comes straight from one of the networks; what a proxy passes on comes from elsewhere."""
        forwarded = any(name in _FORWARDED for name, _ in scope["headers"])
        return not forwarded and is_within(scope["client"][0] if scope.get("client") else None, self._networks)

    def _knows(self, given: bytes, path: str) -> bool:
        # In constant time, so that nobody can guess a secret letter by letter.
        if hmac.compare_digest(given, self._secret):
            return True
        opens = self._inference_secret is not None and is_open_inference(path)
        return opens and hmac.compare_digest(given, self._inference_secret or b"")
