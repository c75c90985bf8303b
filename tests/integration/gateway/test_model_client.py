"""The client of the model service against servers on loopback that behave well, badly or not at all."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from contracts.model import POOR, ModelContract
from fakes.model import FakeModel
from support.scripted_server import (
    TRICKLES,
    Request,
    Script,
    ScriptedServer,
    always,
    hang,
    http,
    serving,
    serving_model,
)
from support.servers import free_port

from gateway.data_access.model_service import client as http_client
from gateway.data_access.model_service.addresses import Addresses
from gateway.data_access.model_service.client import ModelServiceClient
from gateway.data_access.model_service.model import HttpModel
from gateway.services.errors import ModelMalformed, ModelServiceError, ModelTimeout, ModelUnavailable
from gateway.services.models.model import Move
from shared.features import DISTANCE_NAMES
from shared.problems import REQUEST_ID_HEADER

DEADLINE = 0.3
FAR_TOO_LONG = 5.0
"""Seconds; no statement about speed, only that a deadline of 0.3 s ended the wait."""
COLUMNS = {name: [POOR[name]] for name in DISTANCE_NAMES}
MOVE = Move("v1", "seg-01", "seg-02", {"BALANCE": [1.0, 5_000.0]})
CALLS: dict[str, Callable[[HttpModel], object]] = {
    "predict": lambda model: model.predict(POOR, DEADLINE),
    "predict_batch": lambda model: model.predict_batch([POOR], DEADLINE),
    "score": lambda model: model.score(COLUMNS),
    "version": lambda model: model.version(),
    "active": lambda model: model.active(),
    "explain_move": lambda model: model.explain_move(MOVE, DEADLINE),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class TestHttpModel(ModelContract):
    @pytest.fixture
    def model(self) -> Iterator[HttpModel]:
        with serving(serving_model(FakeModel())) as server:
            yield HttpModel(ModelServiceClient(server.url), 5.0)


class TestName:
    """The system's resolver keeps no deadline: a name server that does not answer held each write for 8 seconds."""

    @pytest.fixture
    def looks(self) -> list[str]:
        """The names that were looked up."""
        return []

    @pytest.fixture
    def answered(self, monkeypatch: pytest.MonkeyPatch, looks: list[str]) -> Iterator[threading.Event]:
        """Give the name ``model.example`` an address only once this is set."""
        answered, look_up = threading.Event(), socket.getaddrinfo

        def slow(host: str, *arguments: object, **named: object) -> object:
            if host != "model.example" or named.get("flags"):  # whether it is a number
                return look_up(host, *arguments, **named)  # type: ignore[arg-type]
            looks.append(host)
            answered.wait(FAR_TOO_LONG)
            return look_up("127.0.0.1", *arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        yield answered
        answered.set()

    @every_call
    def test_nobody_answers_for_it(
        self, answered: threading.Event, looks: list[str], call: Callable[[HttpModel], object]
    ) -> None:
        model = HttpModel(ModelServiceClient("http://model.example:1"), DEADLINE)
        began = time.monotonic()
        with pytest.raises(ModelUnavailable):
            call(model)
        assert time.monotonic() - began < FAR_TOO_LONG
        assert not answered.is_set()
        assert looks == ["model.example"], "who asks meanwhile waits for the same answer"

    def test_somebody_answers_later(self, answered: threading.Event) -> None:
        with serving(serving_model(FakeModel())) as server:
            model = HttpModel(ModelServiceClient(f"http://model.example:{server.url.rpartition(':')[2]}"), 5.0)
            with pytest.raises(ModelUnavailable):
                model.predict(POOR, DEADLINE)
            answered.set()
            assert model.predict(POOR, FAR_TOO_LONG)["segment"]["id"]


@contextlib.contextmanager
def _model(script: Script) -> Iterator[tuple[HttpModel, ScriptedServer]]:
    with serving(script) as server:
        yield HttpModel(ModelServiceClient(server.url, connections=2), DEADLINE), server


def _fails(call: Callable[[HttpModel], object], script: Script, error: type[ModelServiceError]) -> ScriptedServer:
    with _model(script) as (model, server):
        began = time.monotonic()
        with pytest.raises(error):
            call(model)
        assert time.monotonic() - began < FAR_TOO_LONG
        return server


def _hang_after(begin: bytes) -> Script:
    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        connection.sendall(begin)
        return hang(server, connection, request)

    return script


@every_call
class TestEveryCall:
    def test_refused_connection(self, call: Callable[[HttpModel], object]) -> None:
        with pytest.raises(ModelUnavailable):
            call(HttpModel(ModelServiceClient(f"http://127.0.0.1:{free_port()}"), DEADLINE))

    def test_no_answer(self, call: Callable[[HttpModel], object]) -> None:
        assert len(_fails(call, hang, ModelTimeout).requests) == 1

    @pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
    def test_half_an_answer(self, call: Callable[[HttpModel], object], begin: bytes) -> None:
        _fails(call, _hang_after(begin), ModelTimeout)

    @pytest.mark.parametrize("script", TRICKLES.values(), ids=TRICKLES)
    def test_an_answer_that_trickles(self, call: Callable[[HttpModel], object], script: Script) -> None:
        _fails(call, script, ModelTimeout)

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (http("{}", "500 Internal Server Error"), ModelMalformed),
            (http("{}", "503 Service Unavailable"), ModelUnavailable),
            (http("{}", "404 Not Found"), ModelMalformed),
            (http("{}", "422 Unprocessable Entity"), ModelMalformed),
            (http("", "302 Found", "Location: http://127.0.0.1:1/\r\n"), ModelMalformed),
            (http("", "308 Permanent Redirect", "Location: /elsewhere\r\n"), ModelMalformed),
            (http(""), ModelMalformed),
            (http("<html>hello</html>"), ModelMalformed),
            (http('{"predictions": ['), ModelMalformed),
            (http('{"confidence": NaN}'), ModelMalformed),
            (http(b"\xff\xfe\x00"), ModelMalformed),
            (http(b"\x1f\x8b rubbish", headers="Content-Encoding: gzip\r\n"), ModelMalformed),
            (http("null"), ModelMalformed),
            (http("[]"), ModelMalformed),
            (http("{}"), ModelMalformed),
            (http('"predictions"'), ModelMalformed),
        ],
    )
    def test_a_wrong_answer(
        self, call: Callable[[HttpModel], object], answer: bytes, error: type[ModelServiceError]
    ) -> None:
        assert len(_fails(call, always(answer), error).requests) == 1

    @pytest.mark.parametrize("answer", [b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", b""])
    def test_a_connection_that_breaks_is_tried_once_more(
        self, call: Callable[[HttpModel], object], answer: bytes
    ) -> None:
        assert len(_fails(call, always(answer, keep_open=False), ModelUnavailable).requests) == 2

    def test_a_refused_connect_is_tried_once_more(
        self, call: Callable[[HttpModel], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect, refused = Addresses.connected, [ConnectionRefusedError()]

        def refusing_once(addresses: Addresses, seconds: float) -> socket.socket:
            if refused:
                raise refused.pop()
            return connect(addresses, seconds)

        with serving(serving_model(FakeModel())) as server:
            monkeypatch.setattr(Addresses, "connected", refusing_once)
            call(HttpModel(ModelServiceClient(server.url), 5.0))
        assert refused == []

    def test_an_answer_without_end(self, call: Callable[[HttpModel], object], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "MAX_ANSWER", 1_000)
        with _model(always(http(" " * 2_000))) as (model, _), pytest.raises(ModelMalformed, match="too large"):
            call(model)


PREDICTION = FakeModel().predict(POOR, 1.0)
SUMMARY = FakeModel().active()


class TestConnections:
    def test_are_kept_and_used_again(self) -> None:
        with _model(serving_model(FakeModel())) as (model, server):
            for _ in range(5):
                model.predict(POOR, 5.0)
            assert (server.connections, len(server.requests)) == (1, 5)

    def test_closed_while_idle_are_replaced(self) -> None:
        with _model(always(http(json.dumps(PREDICTION)), keep_open=False)) as (model, server):
            for _ in range(5):
                assert model.predict(POOR, 5.0) == PREDICTION
            assert server.connections == 5

    def test_closed_at_the_moment_of_use_are_tried_once_more(self) -> None:
        good = always(http(json.dumps(PREDICTION)))

        def close_on_the_second(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
            return len(server.requests) != 2 and good(server, connection, request)

        with _model(close_on_the_second) as (model, server):
            for _ in range(3):
                assert model.predict(POOR, 5.0) == PREDICTION
            assert (server.connections, len(server.requests)) == (2, 4)

    def test_with_half_an_answer_are_not_used_again(self) -> None:
        good = always(http(json.dumps(PREDICTION)))

        def hang_first(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
            first = len(server.requests) == 1
            return (TRICKLES["body"] if first else good)(server, connection, request)

        with _model(hang_first) as (model, server):
            with pytest.raises(ModelTimeout):
                model.predict(POOR, DEADLINE)
            assert model.predict(POOR, 5.0) == PREDICTION
            assert server.connections == 2


class TestRequest:
    def test_carries_the_request_id(self) -> None:
        with serving(serving_model(FakeModel())) as server:
            HttpModel(ModelServiceClient(server.url, request_id=lambda: "caller-1"), 5.0).active()
            HttpModel(ModelServiceClient(server.url, request_id=lambda: None), 5.0).active()
        received = [request.headers.get(REQUEST_ID_HEADER.lower()) for request in server.requests]
        assert received == ["caller-1", None]

    def test_holds_the_features_of_the_distance_only(self) -> None:
        with _model(serving_model(FakeModel())) as (model, server):
            model.predict({**POOR, "CUST_ID": "A", "segment": None}, 5.0)
        assert set(json.loads(server.requests[0].body)) == set(DISTANCE_NAMES)

    def test_keeps_the_path_of_the_base_address(self) -> None:
        def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
            connection.sendall(http(json.dumps(SUMMARY)))
            return True

        with serving(script) as server:
            HttpModel(ModelServiceClient(f"{server.url}/base/"), 5.0).active()
        assert server.requests[0].path == "/base/v1/models/active"
