"""How uvicorn speaks HTTP here, in what differs from its own protocol on httptools."""

from __future__ import annotations

import sys

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.problems import problem_message

_UPGRADES = (b"upgrade", b"http2-settings")


class Protocol(HttpToolsProtocol):
    """Passes over offers to upgrade, and refuses what is no HTTP with a problem.

    Java's HttpClient and ``curl --http2`` offer an upgrade to HTTP/2 with every request over a plain connection. A
    server may ignore it (RFC 9110 section 7.8). httptools stops at such an offer and takes the body for the other
    protocol's; uvicorn then goes on without the body (its issue 2722). Here the parser gets the request once more,
    without the offer.
    """

    _received = b""

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
