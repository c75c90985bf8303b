"""How uvicorn speaks HTTP here, in what differs from its own protocol on httptools."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.problems import problem_message

_UPGRADES = (b"upgrade", b"http2-settings")


class _JoiningTransport:
    """A connection on which an answer's head waits for what follows it: one call of the system instead of two.

    uvicorn writes them apart, and uvloop sends each write at once. The gateway is woken once instead of twice, too.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send what has waited and this, unless it is the head of an answer."""
        if not self._head and data.startswith(_FINAL):
            self._head = data
        else:
            waiting, self._head = self._head, b""
            self._transport.write(waiting + data)

    def flush(self) -> None:
        """Send what has waited."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what has waited, and close the connection."""
        self.flush()
        self._transport.close()


_FINAL = tuple(b"HTTP/1.1 %d" % kind for kind in (2, 3, 4, 5))
"""How the head of an answer begins, unlike those before it (100 Continue), which nothing follows."""


class Protocol(HttpToolsProtocol):
    """Sends answers in one piece, passes over offers to upgrade, and refuses what is no HTTP with a problem.

    Java's HttpClient and ``curl --http2`` offer an upgrade to HTTP/2 with every request over a plain connection. A
    server may ignore it (RFC 9110 section 7.8). httptools stops at such an offer and takes the body for the other
    protocol's; uvicorn then goes on without the body (its issue 2722). Here the parser gets the request once more,
    without the offer.
    """

    _received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin with a connection."""
        super().connection_made(cast(asyncio.Transport, _JoiningTransport(transport)))

    def on_response_complete(self) -> None:
        """Go on to the next request; an answer to HEAD is a head alone."""
        cast(_JoiningTransport, self.transport).flush()
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._received = data
        super().data_received(data)

    def _should_upgrade(self) -> bool:
        """Return true: uvicorn then leaves a request with any offer to `handle_websocket_upgrade`."""
        return True

    def handle_websocket_upgrade(self) -> None:
        """Parse the request again without its offer; called where the parser has stopped at one."""
        stopped = sys.exc_info()[1]
        assert isinstance(stopped, httptools.HttpParserUpgrade)
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":  # the parser stops at it as well, and there is nothing to be connected to
            self.send_400_response("CONNECT is not supported")
            return
        lines = [b" ".join((method, self.url, b"HTTP/" + version))]
        lines += [b": ".join(header) for header in map(_without_offer, self.headers) if header]
        self.data_received(b"\r\n".join((*lines, b"", b"")) + self._received[stopped.args[0] :])

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close the connection."""
        self.transport.write(problem_message(400, msg))
        self.transport.close()


def _without_offer(header: tuple[bytes, bytes]) -> tuple[bytes, bytes] | None:
    name, value = header
    if name in _UPGRADES:
        return None
    if name == b"connection":
        options = [option.strip() for option in value.split(b",")]
        return name, b", ".join(option for option in options if option.lower() not in _UPGRADES)
    return header
