"""A socket that gives up at a time, not after a silence."""

from __future__ import annotations

import http.client
import math
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gateway.data_access.model_service.access import OPEN_ACCESS, ModelAccess
from gateway.services.errors import ModelMalformed, ModelTimeout, ModelUnavailable
from shared.problems import REQUEST_ID_HEADER


class BudgetSocket(socket.socket):
    """A socket whose time-out is a budget for all that is received after it was set, not for each piece.

    urllib3 and http.client set it once an exchange; a server that trickles its answer, headers included, could
    otherwise hold its caller for ever.

    Attributes
    ----------
    silence : seconds in which something must be received, or a call to send end, whatever is left of the budget.
    """

    silence = math.inf
    _give_up_at = math.inf

    @classmethod
    def around(cls, plain: socket.socket) -> BudgetSocket:
        """Take over a connected socket; its time-out has to be set anew."""
        return cls(plain.family, plain.type, plain.proto, plain.detach())

    def settimeout(self, value: float | None) -> None:
        """Start a budget of `value` seconds."""
        self._give_up_at = math.inf if value is None else time.monotonic() + value
        super().settimeout(None if value is None else min(value, self.silence))

    def recv_into(self, *arguments: Any) -> int:
        """Receive what is there before the budget ends."""
        if self._give_up_at != math.inf:
            left = self._give_up_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("the budget is used up")
            super().settimeout(min(left, self.silence))
        return super().recv_into(*arguments)


MAX_ANSWER = 64 * 1024 * 1024
CONNECT_SECONDS = 1.0
SILENCE_SECONDS = 60.0
"""Longest wait in which nothing moves, in either direction; a long deadline is for calls that go on."""
_PIECE = 64 * 1024
_NONE: Mapping[str, str] = {}


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    headers: Message
    body: bytes


class Body(NamedTuple):
    """A request's body: its media type, its content in pieces, and its size in bytes if that is known beforehand."""

    media_type: str
    pieces: Iterable[bytes]
    size: int | None = None


class FreshCalls:
    """The model service, called over a new connection each time.

    Parameters
    ----------
    base_url : such as ``http://127.0.0.1:8001``.
    request_id : returns the id of the request being served, which is passed on.
    access : what makes the model service answer.
    """

    def __init__(
        self,
        base_url: str,
        request_id: Callable[[], str | None] = lambda: None,
        access: ModelAccess = OPEN_ACCESS,
    ) -> None:
        url = urlsplit(base_url)
        assert url.hostname is not None  # settings refuse an address without one
        self._host = url.hostname
        self._port = url.port
        self._tls = access.tls or ssl.create_default_context() if url.scheme == "https" else None
        self._headers = access.headers
        self._path = url.path.rstrip("/")
        self._request_id = request_id

    def call(
        self, method: str, path: str, deadline: float, body: Body | None = None, headers: Mapping[str, str] = _NONE
    ) -> Reply:
        """Send a request, once, and return the answer; give up after `deadline` seconds.

        A silence of `SILENCE_SECONDS` ends it too. A body of unknown size is sent chunked. What its pieces raise ends
        the request half-sent, so that the model service cannot take it for a whole one.

        Raises
        ------
        ModelUnavailable, ModelTimeout, ModelMalformed
        """
        give_up_at = time.monotonic() + deadline
        connection = self._connected(give_up_at)
        try:
            self._begin(connection, method, path, {**headers, **_described(body)})
            if body:
                _send(connection, body, give_up_at)
            _wait(connection.sock, give_up_at)
            return _read(connection.getresponse())
        except TimeoutError as error:
            raise ModelTimeout(f"the model service did not answer in time{_unsure(method)}") from error
        except (OSError, http.client.IncompleteRead) as error:
            detail = f"the model service broke the connection off{_unsure(method)}"
            raise ModelUnavailable(detail, unsure=method != "GET") from error
        except http.client.HTTPException as error:
            raise ModelMalformed(f"the model service's answer cannot be read ({type(error).__name__})") from error
        finally:
            connection.close()

    def _connected(self, give_up_at: float) -> http.client.HTTPConnection:
        patience = min(CONNECT_SECONDS, _left(give_up_at))
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=patience, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=patience)
        )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise ModelUnavailable("the model service cannot be reached") from error
        if not self._tls:
            connection.sock = BudgetSocket.around(connection.sock)
            connection.sock.silence = SILENCE_SECONDS
        _wait(connection.sock, give_up_at)
        return connection

    def _begin(
        self, connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str]
    ) -> None:
        connection.putrequest(method, self._path + path, skip_accept_encoding=True)
        for name, value in (*headers.items(), *self._headers.items()):
            connection.putheader(name, value)
        if request_id := self._request_id():
            connection.putheader(REQUEST_ID_HEADER, request_id)
        connection.putheader("Connection", "close")
        connection.endheaders()


def _unsure(method: str) -> str:
    return "" if method == "GET" else "; look whether it has done what it was asked before you ask again"


def _described(body: Body | None) -> dict[str, str]:
    if body is None:
        return {}
    length = {"Transfer-Encoding": "chunked"} if body.size is None else {"Content-Length": str(body.size)}
    return {"Content-Type": body.media_type, **length}


def _send(connection: http.client.HTTPConnection, body: Body, give_up_at: float) -> None:
    for piece in filter(None, body.pieces):  # an empty chunk would be the last one
        _wait(connection.sock, give_up_at)
        if _has_answered(connection.sock):
            return
        try:
            connection.send(piece if body.size is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        except (BrokenPipeError, ConnectionResetError):
            return  # it may have answered before it hung up
    if body.size is None:
        connection.send(b"0\r\n\r\n")


def _has_answered(connected: socket.socket) -> bool:
    """Whether something can be received: an answer before the whole body was sent is a refusal."""
    if isinstance(connected, ssl.SSLSocket):
        return False  # there it may be TLS's own business, such as session tickets
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _read(response: http.client.HTTPResponse) -> Reply:
    pieces, size = [], 0
    while piece := response.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER:
            raise ModelMalformed("the model service's answer is too large")
    if response.length:  # read(n) returns what there is when the connection ends too early
        raise http.client.IncompleteRead(b"", response.length)
    return Reply(response.status, response.headers, b"".join(pieces))


def _wait(connected: socket.socket, give_up_at: float) -> None:
    left = _left(give_up_at)
    connected.settimeout(min(left, SILENCE_SECONDS) if isinstance(connected, ssl.SSLSocket) else left)


def _left(give_up_at: float) -> float:
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise TimeoutError("the budget is used up")
    return left
