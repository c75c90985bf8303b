"""What every request passes: its id, its log line, the answer to an unexpected error, and the gateway's secret."""

from __future__ import annotations

import hmac
import logging
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_service.api.errors import current_request_id, problem_response
from shared.contract import READY
from shared.problems import REQUEST_ID_HEADER, request_id

log = logging.getLogger("model_service.access")

_header = REQUEST_ID_HEADER.lower().encode()


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
        identity = request_id(_received_id(scope))
        token = current_request_id.set(identity)
        sender = _Sender(send, identity)
        started = time.perf_counter()
        try:
            await self.app(scope, receive, sender)
        except ClientDisconnect:
            log.info("the client disconnected before its request was complete")
        except Exception:
            log.exception("the request failed")
            if sender.status:  # too late for another answer: the server must break the connection
                raise
            await _internal_error()(scope, receive, sender)
        finally:
            milliseconds = (time.perf_counter() - started) * 1e3
            # The raw path is percent-encoded, so that no request can write a line of its own into the log.
            path = scope["raw_path"].decode("latin-1")
            # Health is checked every second; those lines would drown the others.
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
    return problem_response(500, "internal_error", "The request failed unexpectedly; the log has the reason.")


OPEN = frozenset({"/health/live", READY, "/v2/health/live", "/v2/health/ready", "/openapi.json"})
"""What is answered without the secret: health, for monitoring, and the API's description."""

CHALLENGE = 'Bearer realm="model-service"'
_SCHEME = b"bearer "


class GatewayAuthentication:
    """Pure ASGI middleware that lets only requests through that carry ``Authorization: Bearer SECRET``."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self.app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http" or self._admits(scope):
            await self.app(scope, receive, send)
            return
        detail = "This service answers only the gateway, which must send the secret that both tiers share."
        refusal = problem_response(401, "unauthenticated", detail, headers={"www-authenticate": CHALLENGE})
        await refusal(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if scope["path"] in OPEN:
            return True
        for name, value in scope["headers"]:
            if name == b"authorization":
                # In constant time, so that nobody can guess the secret letter by letter.
                return value[:7].lower() == _SCHEME and hmac.compare_digest(value[7:], self._secret)
        return False


class RequestIdFilter(logging.Filter):
    """Adds the current request's id to every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set ``record.request_id``; never drops a record."""
        record.request_id = current_request_id.get()
        return True


def configure_logging(level: str) -> None:
    """Log everything from `level` on to standard error, one line a record, each with its request's id."""
    # Nobody prints these, and looking them up costs more than writing the line (logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = False
    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
