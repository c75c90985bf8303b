"""The one HTTP client of the model service: connections with a deadline, and what their failures mean.

On http.client: a prediction costs 0.12 ms of CPU in this process; on urllib3's connections 0.17, through its pool 0.21.
urllib3 sets time-outs for single steps only, too, so that an answer in small pieces could hold a thread for ever. Half
of the 0.12 goes into the parser for e-mail that reads headers, and into checks of each header that is sent: a usual
answer (`_USUAL_HEAD`) and a request in one piece (`_message`) do without.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import math
import re
import select
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from gateway import metrics
from gateway.data_access.model_service.addresses import Addresses
from gateway.services.errors import ModelMalformed, ModelTimeout, ModelUnavailable
from shared.problems import REQUEST_ID_HEADER
from shared.telemetry import traces

log = logging.getLogger(__name__)

JSON: Final = "application/json"
MAX_ANSWER = 64 * 1024 * 1024
CONNECT_SECONDS: Final = 1.0
KEPT_CONNECT_SECONDS: Final = 0.25
"""For a connection that will be kept: predictions have little time."""
SILENCE_SECONDS = 60.0
"""Longest wait in which nothing moves, in either direction; a long deadline is for calls that go on."""
_JSON_HEADERS: Mapping[str, str] = {"Content-Type": JSON, "Accept": JSON}
_AS_IT_IS: Mapping[str, str] = {"Accept-Encoding": "identity"}
_NONE: Mapping[str, str] = {}
_AT_ONCE: Final = 64 * 1024
_TOO_LARGE: Final = "The model service's answer is too large."


class Certificates(NamedTuple):
    """Files with certificates, for ``https://``.

    Attributes
    ----------
    ca : the authorities to trust; those of the machine if None.
    cert, key : this gateway's own certificate, for a model service that asks for one; the key may be in the same file.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    headers: Message | _Headers
    body: bytes


class Body(NamedTuple):
    """A request's body: its media type, its content in pieces, and its size in bytes if that is known beforehand."""

    media_type: str
    pieces: Iterable[bytes]
    size: int | None = None


class _Headers:
    """The headers of a usual answer, read where one is asked for: nobody does on the hot path."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def get(self, name: str, default: str) -> str:
        """Return what the first header of a name says."""
        for line in self._head.decode("latin-1").split("\r\n"):
            named, _, value = line.partition(":")
            if named.lower() == name.lower():
                return value.strip(" \t")
        return default


_OTHERS = rb"(?:\r\n(?!transfer-encoding:|content-length:|connection:)[a-z0-9-]+:[^\r\n\0]*)*"
_USUAL_HEAD = re.compile(
    rb"HTTP/1\.1 (20[0-2]|[45][0-9]{2}) [ -~]*%b\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*%b" % (_OTHERS, _OTHERS),
    re.IGNORECASE,
)
"""Of an answer that may have a body, says how long that is, once, and leaves the connection open."""


class _Received(io.RawIOBase):
    """What is received on a connection, begun with what has been; `http.client` takes it for a socket."""

    def __init__(self, begun: bytes, connected: socket.socket) -> None:
        self._begun = begun
        self._socket = connected

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return it to be read by the line."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive more."""
        if not self._begun:
            return self._socket.recv_into(buffer)
        some, self._begun = self._begun[: len(buffer)], self._begun[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)


class _HungUpError(Exception):
    """The model service takes no more of the request: it has answered already, or has gone."""


class _Socket(socket.socket):
    """A socket that gives up at a time, and not only after a silence: what trickles could hold a thread for ever."""

    give_up_at = math.inf
    silence = math.inf
    """Longest wait in which nothing moves."""

    def recv(self, *arguments: Any) -> bytes:
        self.settimeout(min(_left(self.give_up_at), self.silence))
        return super().recv(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(min(_left(self.give_up_at), self.silence))
        return super().recv_into(*arguments)

    def send(self, *arguments: Any) -> int:  # over TLS sendall calls it for each piece
        self.settimeout(min(_left(self.give_up_at), self.silence))
        return super().send(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self.settimeout(min(_left(self.give_up_at), self.silence))
        try:
            super().sendall(*arguments)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
            raise _HungUpError from error


class _TlsSocket(_Socket, ssl.SSLSocket):
    """The same over TLS."""


class ModelServiceClient:
    """Calls the model service.

    Parameters
    ----------
    base_url : such as ``http://127.0.0.1:8001``.
    secret : what both tiers share; None for a model service that asks for none.
    connections : most connections kept open; the number of threads that call at once.
    request_id : returns the id of the request being served, which is passed on.
    """

    def __init__(
        self,
        base_url: str,
        secret: str | None = None,
        certificates: Certificates | None = None,
        connections: int = 1,
        request_id: Callable[[], str | None] = lambda: None,
    ) -> None:
        url = urlsplit(base_url)
        assert url.hostname is not None  # settings refuse an address without one
        self._host, self._port, self._path = url.hostname, url.port, url.path.rstrip("/")
        self._addresses = Addresses(url.hostname, url.port or (443 if url.scheme == "https" else 80))
        self._netloc = url.netloc.rpartition("@")[2]
        self._tls = _context(certificates or Certificates()) if url.scheme == "https" else None
        self._secret = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._request_id = request_id
        self._most_idle = connections
        self._idle: deque[http.client.HTTPConnection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    @metrics.timed
    def query(self, method: str, path: str, deadline: float, content: bytes | None = None) -> Reply:
        """Send what changes nothing, and return the answer; give up after `deadline` seconds, to its last byte.

        The connection is kept for others. What fails on it, or cannot be connected, is tried once more: the server may
        have closed it while it was idle.

        Raises
        ------
        ModelUnavailable, ModelTimeout, ModelMalformed
        """
        give_up_at = time.monotonic() + deadline
        failure: Exception | None = None
        for _ in range(2):
            try:
                return self._over_kept(method, path, give_up_at, content)
            except TimeoutError as error:
                raise ModelTimeout("The model service did not answer in time.") from error
            except (OSError, http.client.HTTPException, ModelUnavailable) as error:
                failure = error
        raise ModelUnavailable("The model service cannot be reached.") from failure

    @metrics.timed
    def call(
        self, method: str, path: str, deadline: float, body: Body | None = None, headers: Mapping[str, str] = _NONE
    ) -> Reply:
        """Send what may change something or take long, once, over a connection of its own; else as `query`.

        A silence of `SILENCE_SECONDS` ends it too. A body of unknown size is sent chunked. What its pieces raise ends
        the request half-sent, so that the model service cannot take it for a whole one.

        Raises
        ------
        ModelUnavailable, ModelTimeout, ModelMalformed
        """
        give_up_at = time.monotonic() + deadline
        try:
            connection = self._connected(give_up_at, CONNECT_SECONDS)
            with contextlib.closing(connection):
                cast(_Socket, connection.sock).silence = SILENCE_SECONDS
                pieces = _until_answered(connection.sock, body.pieces) if body else None
                sent = {"Connection": "close", **headers, **_described(body)}
                return self._exchange(connection, method, path, give_up_at, pieces, sent)
        except TimeoutError as error:
            raise ModelTimeout(f"The model service did not answer in time{_unsure(method)}.") from error
        except (OSError, http.client.IncompleteRead) as error:
            detail = f"The model service broke the connection off{_unsure(method)}."
            raise ModelUnavailable(detail, unsure=method != "GET") from error
        except http.client.HTTPException as error:
            raise ModelMalformed(f"The model service's answer cannot be read ({type(error).__name__}).") from error

    def _over_kept(self, method: str, path: str, give_up_at: float, content: bytes | None) -> Reply:
        connection = self._kept() or self._connected(give_up_at, KEPT_CONNECT_SECONDS)
        try:
            reply = self._exchange(connection, method, path, give_up_at, content, _JSON_HEADERS)
        except BaseException:
            connection.close()  # half-read, it must not be used again
            raise
        if len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def _kept(self) -> http.client.HTTPConnection | None:
        """Return an idle connection, the one used last; those that the server has closed are left out."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread has taken it
                connection = self._idle.pop()
                if connection.sock and not _readable(connection.sock):
                    return connection
                connection.close()
        return None

    def _connected(self, give_up_at: float, longest: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, self._port)
        try:
            plain = self._addresses.connected(min(longest, _left(give_up_at)))
            with contextlib.closing(plain):  # what is made of it has taken the connection over
                connection.sock = (
                    self._tls.wrap_socket(plain, server_hostname=self._host)
                    if self._tls
                    else _Socket(plain.family, plain.type, plain.proto, plain.detach())
                )
        except OSError as error:
            if isinstance(error, ssl.SSLError):
                log.error("no TLS connection to the model service: %s", str(error))
            raise ModelUnavailable("The model service cannot be reached.") from error
        return connection

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        give_up_at: float,
        content: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> Reply:
        with traces.span(f"{method} model service", "client", http__request__method=method) as span:
            reply = self._answered(connection, method, path, give_up_at, content, headers)
            span.note(http__response__status_code=reply.status)
            return reply

    def _answered(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        give_up_at: float,
        content: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> Reply:
        cast(_Socket, connection.sock).give_up_at = give_up_at
        request_id = self._request_id()
        named = {REQUEST_ID_HEADER: request_id} if request_id else _NONE
        sent = {**headers, **self._secret, **named, **traces.headers()}
        with contextlib.suppress(_HungUpError):  # it may have answered before
            if content is None or isinstance(content, bytes):
                connection.sock.sendall(self._message(method, path, content, sent))
            else:
                connection.request(method, self._path + path, content, sent)
        return _answer(connection, method)

    def _message(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> bytes:
        """Return a whole request, as `http.client` would send it line by line."""
        size = {} if content is None else {"Content-Length": len(content)}
        lines = [f"{name}: {value}" for name, value in {"Host": self._netloc, **_AS_IT_IS, **size, **headers}.items()]
        head = "\r\n".join([f"{method} {self._path}{path} HTTP/1.1", *lines])
        if len(head.splitlines()) != len(lines) + 1:
            raise ValueError("a line break in a header")
        return head.encode("latin-1") + b"\r\n\r\n" + (content or b"")


def _answer(connection: http.client.HTTPConnection, method: str) -> Reply:
    """Receive an answer; what is not usual is left to the standard library."""
    received = connection.sock.recv(_AT_ONCE)
    head, complete, begun = received.partition(b"\r\n\r\n")
    usual = _USUAL_HEAD.fullmatch(head) if complete else None
    if usual and len(begun) <= int(usual[2]):
        return Reply(int(usual[1]), _Headers(head), _whole(connection.sock, begun, int(usual[2])))
    return _unusual(connection, received, method)


def _whole(connected: socket.socket, body: bytes, length: int) -> bytes:
    """Return a body of which some may have been received."""
    if length > MAX_ANSWER:
        raise ModelMalformed(_TOO_LARGE)
    pieces, left = [body], length - len(body)
    while left:
        piece = connected.recv(min(left, _AT_ONCE))
        if not piece:
            raise http.client.IncompleteRead(b"".join(pieces), left)
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces) if len(pieces) > 1 else body


def _unusual(connection: http.client.HTTPConnection, received: bytes, method: str) -> Reply:
    """Return an answer as the standard library reads it."""
    source = cast(socket.socket, _Received(received, connection.sock))
    with http.client.HTTPResponse(source, method=method) as response:
        response.begin()
        answer = response.read(MAX_ANSWER + 1)
        if len(answer) > MAX_ANSWER:
            raise ModelMalformed(_TOO_LARGE)
        if response.length:  # read(n) returns what there is when the connection ends too early
            raise http.client.IncompleteRead(answer, response.length)
        if response.will_close:
            connection.close()
        return Reply(response.status, response.headers, answer)


def _context(files: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.ca)
    context.sslsocket_class = _TlsSocket
    if files.cert:
        context.load_cert_chain(files.cert, files.key)
    return context


def _close_all(connections: Iterable[http.client.HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def _described(body: Body | None) -> Mapping[str, str]:
    if body is None:
        return _NONE
    return {"Content-Type": body.media_type, **({} if body.size is None else {"Content-Length": str(body.size)})}


def _until_answered(connected: socket.socket, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces as long as they are wanted: an answer before the whole body was sent is a refusal."""
    for piece in pieces:
        # Over TLS what can be received may be TLS's own business, such as session tickets.
        if not isinstance(connected, ssl.SSLSocket) and _readable(connected):
            raise _HungUpError
        yield piece


def _readable(connected: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _left(give_up_at: float) -> float:
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


def _unsure(method: str) -> str:
    return "" if method == "GET" else "; look whether it has done what it was asked before you ask again"
