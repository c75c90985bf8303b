"""The head of the model service's answers is read as the standard library reads it, and its requests are HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.data_access.model_service import client
from gateway.data_access.model_service.client import ModelServiceClient, Reply
from gateway.services.errors import ModelMalformed

STATUS_LINES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 422 Unprocessable Content", b"HTTP/1.1 504 Late", b"HTTP/1.1 200 "]
ODD_STATUS_LINES = [b"HTTP/1.1 204 No Content", b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 2000 OK", b"ICY 200 OK"]
HEADERS = [
    b"content-length: 2",
    b"Content-Length:2",
    b"content-type: application/json",
    b"X-Request-ID: a:b",
    b"etag: ",
]
ODD_HEADERS = [
    *(b"transfer-encoding: chunked", b"connection: Close", b"connection: keep-alive", b"content-length: -1"),
    *(b"content-length: 1", b"content-length: x", b" folded", b"no colon", b": no name", b"a b: c", "x: é".encode()),
]


class Connection:
    """A connection with one answer, which comes in pieces; also its own socket."""

    def __init__(self, text: bytes, piece: int) -> None:
        self._left = text
        self._piece = piece
        self.closed = False

    @property
    def sock(self) -> Connection:
        return self

    def recv(self, size: int) -> bytes:
        size = min(self._piece, size)
        piece, self._left = self._left[:size], self._left[size:]
        return piece

    def recv_into(self, buffer: Any) -> int:
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.closed = True


NAMES = ("content-type", "X-Request-ID", "etag", "Content-Length", "none")


def read(reader: Callable[..., Reply], text: bytes, piece: int) -> Any:
    connection = Connection(text, piece)
    try:
        reply = reader(connection, "POST")
    except (http.client.HTTPException, ModelMalformed) as error:
        return type(error)
    return reply.status, [reply.headers.get(name, "-") for name in NAMES], reply.body, connection.closed


def by_the_standard_library(connection: Any, method: str) -> Reply:
    return client._unusual(connection, b"", method)


@given(
    st.sampled_from([*STATUS_LINES * 3, *ODD_STATUS_LINES]),
    st.lists(st.sampled_from([*HEADERS * 3, *ODD_HEADERS]), max_size=5),
    st.sampled_from([b"{}", b"", b"{}more", b"2\r\n{}\r\n0\r\n\r\n"]),
    st.sampled_from([1000, 1000, 20, 1]),
)
@example(STATUS_LINES[0], HEADERS, b"{}", 1000)
@example(STATUS_LINES[0], [b"content-length: 2", b"content-length: 1"], b"{}", 1000)
def test_it_is_read_as_the_standard_library_does(status: bytes, headers: list[bytes], body: bytes, piece: int) -> None:
    text = b"\r\n".join([status, *headers, b"", body])

    assert read(client._answer, text, piece) == read(by_the_standard_library, text, piece)


def test_a_request_is_one_message() -> None:
    service = ModelServiceClient("http://user@[::1]:8001/base/", "secret")

    head, _, body = service._message("POST", "/v1/predict", b"{}", {"A": "b"}).partition(b"\r\n\r\n")

    assert (head.splitlines()[0], body) == (b"POST /base/v1/predict HTTP/1.1", b"{}")
    assert head.splitlines()[1:] == [b"Host: [::1]:8001", b"Accept-Encoding: identity", b"Content-Length: 2", b"A: b"]
    assert b"Content-Length" not in service._message("GET", "/", None, {})


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_header_is_one_line(end: str) -> None:
    with pytest.raises(ValueError, match="a line break"):
        ModelServiceClient("http://a")._message("GET", "/", None, {"A": f"b{end}C: d"})
