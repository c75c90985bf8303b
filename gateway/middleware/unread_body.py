"""What nobody has read of a request's body is read before the answer; short, because that is one thing of its own.

Many clients, nginx among them, send a whole body before they look for an answer. A connection that is closed while
bytes of the client wait on it is reset, and the answer is lost (RFC 9112 section 9.6): nginx tells 502 instead of it.
The proxy has bodies whole before it passes them on, so that reading them takes no time.
"""

from __future__ import annotations

import contextlib

from flask import Flask, Response, g, request
from werkzeug.exceptions import ClientDisconnected

_PIECE = 256 * 1024


def register(app: Flask, max_bytes: int) -> None:
    """Make the application read on before it answers, up to as many bytes as any body may have."""

    def read_on(response: Response) -> Response:
        if _may_be_unread() and not response.is_streamed:  # a stream reads it while it is sent
            left = max_bytes
            with contextlib.suppress(OSError, ClientDisconnected):  # the client has left
                # Not Flask's stream, which ends where the route's limit does.
                while left > 0 and (piece := request.environ["wsgi.input"].read(_PIECE)):
                    left -= len(piece)
        return response

    app.after_request(read_on)


def _may_be_unread() -> bool:
    environ = request.environ
    sent = environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
    return sent and "body" not in g
