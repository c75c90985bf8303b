"""Answers leave in one piece, whatever uvicorn writes one after the other."""

import asyncio

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from model_service.protocol import Protocol, _JoiningTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Connection:
    """Remembers what is sent."""

    def __init__(self):
        self.sent = []
        self.open = True

    def write(self, data):
        assert self.open
        self.sent.append(data)

    def close(self):
        self.open = False

    def get_extra_info(self, name):
        return name if name == "a name" else None

    def is_closing(self):
        return not self.open

    def resume_reading(self):
        pass


@pytest.fixture
def connection():
    return Connection()


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ([HEAD, b"{}"], [HEAD + b"{}"]),
        ([HEAD, b"{}", HEAD, b"[]"], [HEAD + b"{}", HEAD + b"[]"]),
        ([HEAD, b"a", b"b"], [HEAD + b"a", b"b"]),
        ([HEAD, b""], [HEAD]),
        ([HEAD], []),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, b"{}"], [b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"{}"]),
        ([HEAD, HEAD], [HEAD + HEAD]),
    ],
)
def test_a_head_waits_for_what_follows(connection, written, sent):
    transport = _JoiningTransport(connection)
    for data in written:
        transport.write(data)
    assert connection.sent == sent
    assert transport.get_extra_info("a name") == "a name"


def test_a_head_alone_is_sent_before_the_end(connection):
    transport = _JoiningTransport(connection)
    transport.write(HEAD)
    transport.flush()
    transport.flush()
    transport.write(HEAD)
    transport.close()
    assert (connection.sent, connection.open) == ([HEAD, HEAD], False)


@pytest.mark.parametrize(("method", "body"), [(b"GET", b"{}"), (b"HEAD", b"")])
def test_an_answer_of_uvicorn_is_one_piece(connection, method, body):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    async def serve():
        config = Config(app, http=Protocol, ws="none", log_config=None)
        config.load()
        protocol = Protocol(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(connection)
        for _ in range(2):
            protocol.data_received(method + b" / HTTP/1.1\r\nhost: a\r\n\r\n")
            await asyncio.gather(*protocol.tasks)

    asyncio.run(serve())
    assert [sent.partition(b"\r\n\r\n")[2] for sent in connection.sent] == [body, body]
