"""The client of the model's life against servers on loopback that behave well, badly or not at all."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contracts.registry import RegistryContract, blocks
from fakes.registry import NEW, OLD, FakeRegistry, drift, training
from support.registry_server import serving_registry
from support.scripted_server import (
    TRICKLES,
    Request,
    Script,
    ScriptedServer,
    always,
    hang,
    http,
    refused,
    serving,
)
from support.servers import free_port

from gateway.data_access.model_service import client as http_client
from gateway.data_access.model_service.client import ModelServiceClient
from gateway.data_access.model_service.registry import Deadlines, HttpRegistry
from gateway.services.errors import (
    ModelMalformed,
    ModelServiceError,
    ModelTimeout,
    ModelUnavailable,
    RegistryRefusal,
    StoreUnavailable,
)
from gateway.services.models.registry import Upload
from shared.model_contract import CSV
from shared.problems import REQUEST_ID_HEADER

DEADLINE = 0.3
FAR_TOO_LONG = 5.0
"""Seconds; no statement about speed, only that a deadline of 0.3 s ended the wait."""
UPLOAD = Upload(CSV, 3, [b"a,b"])
JSON_CALLS: dict[str, Callable[[HttpRegistry], object]] = {
    "models": lambda r: r.models(),
    "model": lambda r: r.model(OLD),
    "gate": lambda r: r.gate(OLD),
    "activate": lambda r: r.activate(NEW, {}),
    "roll_back": lambda r: r.roll_back({}),
    "activations": lambda r: r.activations(),
    "label": lambda r: r.label("seg-01", {}),
    "train": lambda r: r.train(UPLOAD, {}),
    "trainings": lambda r: r.trainings(),
    "training": lambda r: r.training("t1"),
    "cancel": lambda r: r.cancel("t1"),
    "plots": lambda r: r.plots(OLD),
    "preview": lambda r: r.preview(NEW, blocks()),
    "drift": lambda r: r.drift(NEW, blocks()),
}
CALLS = JSON_CALLS | {
    "training_log": lambda r: r.training_log("t1"),
    "report": lambda r: r.report(OLD, None),
    "plot": lambda r: r.plot(OLD, "elbow", "svg", None),
    "draw": lambda r: r.draw(drift(OLD, 1), "svg"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
_SOME = ("models", "activate", "train", "drift", "plot")
some_calls = pytest.mark.parametrize("call", [CALLS[name] for name in _SOME], ids=_SOME)


def _registry(server: ScriptedServer, deadline: float = 5.0) -> HttpRegistry:
    return HttpRegistry(ModelServiceClient(server.url), Deadlines(*[deadline] * 4))


class TestHttpRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> Iterator[HttpRegistry]:
        with serving(serving_registry(FakeRegistry())) as server:
            yield _registry(server)


def _fails(
    call: Callable[[HttpRegistry], object], script: Script, error: type[Exception], read_bodies: bool = True
) -> ScriptedServer:
    deadline = DEADLINE if error is ModelTimeout else FAR_TOO_LONG  # a busy machine must not bring about another fault
    with serving(script, read_bodies) as server:
        began = time.monotonic()
        with pytest.raises(error) as caught:
            call(_registry(server, deadline))
        assert type(caught.value) is error
        assert time.monotonic() - began < FAR_TOO_LONG
        return server


@contextlib.contextmanager
def _given_up_soon() -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(ModelTimeout):
        yield
    assert time.monotonic() - began < FAR_TOO_LONG


class TestFaults:
    @every_call
    def test_refused_connection(self, call: Callable[[HttpRegistry], object]) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(ModelUnavailable):
            call(HttpRegistry(ModelServiceClient(url), Deadlines(*[DEADLINE] * 4)))

    def test_a_host_that_does_not_exist(self) -> None:
        with pytest.raises(ModelUnavailable):
            HttpRegistry(ModelServiceClient("http://nowhere.invalid"), Deadlines(*[DEADLINE] * 4)).models()

    @some_calls
    def test_no_answer(self, call: Callable[[HttpRegistry], object]) -> None:
        assert len(_fails(call, hang, ModelTimeout).requests) == 1

    @every_call
    def test_no_answer_and_a_deadline_that_is_far_away(
        self, call: Callable[[HttpRegistry], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A long deadline is for what goes on, not for silence."""
        monkeypatch.setattr(http_client, "SILENCE_SECONDS", DEADLINE)
        with serving(hang) as server, _given_up_soon():
            call(_registry(server, FAR_TOO_LONG * 10))

    def test_an_answer_that_trickles_is_no_silence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "SILENCE_SECONDS", DEADLINE)
        text = json.dumps(FakeRegistry().models()).encode()

        def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
            for piece in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: %d\r\n\r\n" % len(text), text[:5], text[5:]):
                server.stopping.wait(DEADLINE / 2)
                connection.sendall(piece)
            return False

        with serving(script) as server:
            assert _registry(server, FAR_TOO_LONG * 10).models()["active"] == OLD

    @pytest.mark.parametrize(
        ("name", "call"),
        [
            *(("reading", n) for n in ("models", "model", "gate", "activations", "trainings", "training", "plots")),
            ("reading", "training_log"),
            *(("changing", n) for n in ("activate", "roll_back", "label", "cancel")),
            *(("carrying", n) for n in ("train", "preview", "drift")),
            *(("drawing", n) for n in ("report", "plot", "draw")),
        ],
    )
    def test_each_call_has_the_deadline_of_its_kind(self, name: str, call: str) -> None:
        deadlines = Deadlines(*[FAR_TOO_LONG * 10] * 4)._replace(**{name: DEADLINE})
        with serving(hang) as server, _given_up_soon():
            CALLS[call](HttpRegistry(ModelServiceClient(server.url), deadlines))

    @some_calls
    @pytest.mark.parametrize("script", TRICKLES.values(), ids=TRICKLES)
    def test_an_answer_that_trickles(self, call: Callable[[HttpRegistry], object], script: Script) -> None:
        _fails(call, script, ModelTimeout)

    @every_call
    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (http("{}", "500 Internal Server Error"), ModelMalformed),
            (http("{}", "503 Service Unavailable"), ModelUnavailable),
            (http("{}", "404 Not Found"), ModelMalformed),
            (http("{}", "201 Created"), ModelMalformed),
            (http("", "304 Not Modified"), ModelMalformed),
            (http("", "302 Found", "Location: http://127.0.0.1:1/\r\n"), ModelMalformed),
            (http('{"code": "version_not_found", "detail": "no", "status": 404}', "404 Not Found"), ModelMalformed),
            (b"rubbish\r\n\r\n", ModelMalformed),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", ModelUnavailable),
            (b"", ModelUnavailable),
        ],
    )
    def test_a_wrong_answer(
        self, call: Callable[[HttpRegistry], object], answer: bytes, error: type[ModelServiceError]
    ) -> None:
        """Asked once and never again: what breaks off may have been done."""
        assert len(_fails(call, always(answer, keep_open=False), error).requests) == 1

    @pytest.mark.parametrize("call", JSON_CALLS.values(), ids=JSON_CALLS)
    @pytest.mark.parametrize("text", ["", "<html>", "null", "[]", "{}", '{"items": {}}', '{"items": [{}]}', "\xff"])
    def test_an_answer_of_another_shape(self, call: Callable[[HttpRegistry], object], text: str) -> None:
        _fails(call, always(http(text)), ModelMalformed)

    @pytest.mark.parametrize("name", ["report", "plot", "draw"])
    def test_a_picture_that_is_none(self, name: str) -> None:
        _fails(CALLS[name], always(http("<script>", headers="Content-Type: text/javascript\r\n")), ModelMalformed)
        _fails(CALLS[name], always(http("?", headers="")), ModelMalformed)

    def test_an_answer_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_client, "MAX_ANSWER", 1_000)
        _fails(CALLS["report"], always(http(" " * 2_000)), ModelMalformed)

    def test_a_refusal_comes_with_everything(self) -> None:
        refusal = RegistryRefusal(409, "gate_refused", "no", [{"pointer": "/checks/match", "detail": "too far"}])
        with serving(always(refused(refusal))) as server, pytest.raises(RegistryRefusal) as caught:
            _registry(server).activate(NEW, {})
        assert vars(caught.value) == vars(refusal)


class TestRequest:
    def test_carries_the_request_id_and_keeps_the_path_of_the_base_address(self) -> None:
        with serving(serving_registry(FakeRegistry())) as server:
            calls = ModelServiceClient(f"{server.url}/", request_id=lambda: "caller-1")
            HttpRegistry(calls, Deadlines(5.0, 5.0)).models()
        with serving(always(http(json.dumps(FakeRegistry().models())))) as other:
            HttpRegistry(ModelServiceClient(f"{other.url}/base/"), Deadlines(5.0, 5.0)).models()
        assert server.requests[0].headers[REQUEST_ID_HEADER.lower()] == "caller-1"
        assert other.requests[0].path == "/base/v1/models"
        assert REQUEST_ID_HEADER.lower() not in other.requests[0].headers

    @pytest.mark.parametrize("part", ["../x", "a/b", "a?b", "a#b", "a b", "%2e%2e", "ä"])
    def test_cannot_be_led_elsewhere_by_a_name(self, part: str) -> None:
        with serving(always(http(json.dumps(training("t1"))))) as server:
            _registry(server).training(part)
        path = server.requests[0].path
        assert path.startswith("/v1/trainings/")
        assert not set(path.removeprefix("/v1/trainings/")) & set("/?# ")

    def test_of_a_known_size_tells_it(self) -> None:
        registry = FakeRegistry()
        with serving(serving_registry(registry)) as server:
            _registry(server).train(UPLOAD, {})
            _registry(server).train(Upload(CSV, None, [b"a,b", b"", b"c"]), {"note": "x y&z"})
        assert registry.uploads == [(CSV, 3, b"a,b"), (CSV, None, b"a,bc")]
        assert registry.orders[1] == ("train", None, {"note": "x y&z"})

    def test_asks_for_nothing_twice(self) -> None:
        with serving(serving_registry(FakeRegistry())) as server:
            for _ in range(3):
                _registry(server).models()
        assert (server.connections, len(server.requests)) == (3, 3)


class TestStreaming:
    def test_stops_as_soon_as_the_model_service_has_answered(self) -> None:
        sent = []

        def endless() -> Iterator[bytes]:
            while len(sent) < 100_000:
                sent.append(1)
                yield b"x" * 10_000

        refusal = RegistryRefusal(409, "training_running", "another one is running")
        heard = pytest.raises(RegistryRefusal, match="another one")
        with serving(_answer_and_wait(refused(refusal)), read_bodies=False) as server, heard:
            _registry(server).train(Upload(CSV, None, endless()), {})
        assert len(sent) < 100_000

    def test_an_answer_before_the_connection_is_closed_is_heard(self) -> None:
        refusal = RegistryRefusal(413, "body_too_large", "too large")

        def slowly() -> Iterator[bytes]:
            yield b"x"
            assert answered.wait(30.0)
            yield b"x" * 100_000

        answered = threading.Event()

        def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
            connection.sendall(refused(refusal))
            connection.shutdown(socket.SHUT_WR)
            answered.set()
            return server.stopping.wait() and False

        with serving(script, read_bodies=False) as server, pytest.raises(RegistryRefusal, match="too large"):
            _registry(server).train(Upload(CSV, None, slowly()), {})

    @pytest.mark.parametrize("size", [None, 1_000_000])
    def test_what_breaks_off_here_never_arrives_as_a_whole(self, size: int | None) -> None:
        def fails() -> Iterator[bytes]:
            yield b"BALANCE\n"
            raise StoreUnavailable("the database cannot be reached")

        registry = FakeRegistry()
        with serving(serving_registry(registry)) as server, pytest.raises(StoreUnavailable):
            _registry(server).train(Upload(CSV, size, fails()), {})
        assert (server.requests, registry.uploads) == ([], [])

    def test_a_model_service_that_does_not_read_ends_at_the_deadline(self) -> None:
        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 1_000_000

        _fails(lambda r: r.train(Upload(CSV, None, endless()), {}), hang, ModelTimeout, read_bodies=False)

    def test_a_model_service_that_does_not_read_is_left_long_before_the_deadline(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_client, "SILENCE_SECONDS", DEADLINE)

        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 1_000_000

        with serving(hang, read_bodies=False) as server, _given_up_soon():
            _registry(server, FAR_TOO_LONG * 10).train(Upload(CSV, None, endless()), {})

    def test_blocks_leave_one_at_a_time(self) -> None:
        seen: list[Any] = []

        def watched() -> Iterator[Any]:
            for block in blocks():
                seen.append(block.ids)
                yield block

        registry = FakeRegistry()
        with serving(serving_registry(registry)) as server:
            _registry(server).preview(NEW, watched())
        assert [block.ids for block in registry.blocks] == seen == [["A"], ["B"]]
        assert server.requests[0].headers["transfer-encoding"] == "chunked"


def _answer_and_wait(answer: bytes) -> Script:
    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        connection.sendall(answer)
        with contextlib.suppress(OSError):
            while connection.recv(1_000_000):
                pass
        return False

    return script
