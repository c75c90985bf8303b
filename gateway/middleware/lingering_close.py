"""An answer reaches a client that is still sending: what it sends is taken in after the answer, within bounds.

A connection that is closed while bytes of the client wait on it is reset, which can wipe out the answer before the
client has read it (RFC 9112 section 9.6). Many clients send their whole body before they look for an answer. So the
body of a request that was refused unread is read on, once the answer is out, and dropped.

Reading holds a thread. Servers get `THREADS` more than do the work; whoever sends nothing can hold just these.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

from flask import Flask, Response, g, request

from gateway.controllers.slow_clients import ClientTimeouts, TimedBody
from gateway.middleware.rate_limit import address
from gateway.services.access.concurrency import ConcurrencyLimit
from gateway.services.errors import ClientsTooSlow

THREADS: Final = 32
"""How many clients a process listens to in this way at once, half of them of one address; the connections of others are
closed at once."""
LINGER_BYTES: Final = 64 * 1024 * 1024
LINGER_SECONDS: Final = 5.0
"""For how long. granian cannot end the wait: there, a client that stays and sends nothing keeps its thread."""
_PIECE = 256 * 1024


def register(app: Flask) -> None:
    """Make the application take in what clients are still sending when they have been answered."""
    app.after_request(_lingering(ClientTimeouts(LINGER_SECONDS, ConcurrencyLimit(THREADS, ClientsTooSlow))))


def _lingering(timeouts: ClientTimeouts) -> Callable[[Response], Response]:
    def after(response: Response) -> Response:
        if _sends_more():
            # Not Flask's stream, which ends where the route's limit does.
            connection = request.environ.get("gunicorn.socket")
            unread = TimedBody(request.environ["wsgi.input"], timeouts, connection, address())
            response.call_on_close(partial(_discard, unread))
        return response

    return after


def _sends_more() -> bool:
    environ = request.environ
    if environ.get("CONTENT_LENGTH", "0") in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environ:
        return False
    # Who expects to be asked for the body (100-continue), and was not, does not send it.
    return "body" not in g and ("HTTP_EXPECT" not in environ or "body_begun" in g)


def _discard(body: TimedBody) -> None:
    size = 0
    with contextlib.suppress(OSError, ClientsTooSlow), body.timeouts.waiting(body.connection, body.caller):
        while size <= LINGER_BYTES and (piece := body.stream.read(_PIECE)):
            size += len(piece)
