"""The client of the model service over TLS: a deadline holds there as well, whatever trickles."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts.model import POOR
from fakes.model import FakeModel
from fakes.registry import NEW, FakeRegistry
from support.certificates import Authority
from support.registry_server import serving_registry
from support.scripted_server import (
    TRICKLES,
    Script,
    always,
    hang,
    http,
    serving,
    serving_model,
)

from gateway.data_access.model_service import client as http_client
from gateway.data_access.model_service.client import Certificates, ModelServiceClient
from gateway.data_access.model_service.model import HttpModel
from gateway.data_access.model_service.registry import Deadlines, HttpRegistry
from gateway.services.errors import ModelTimeout, ModelUnavailable
from gateway.services.models.registry import Upload
from shared.model_contract import CSV

DEADLINE = 0.3
FAR_TOO_LONG = 5.0
"""Seconds; no statement about speed, only that a deadline of 0.3 s ended the wait."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    pair = authority.pair("model-service")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> Certificates:
    return Certificates(ca=authority.cert)


def _endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 100_000


CALLS: dict[str, Callable[[ModelServiceClient], object]] = {
    "predict": lambda client: HttpModel(client, DEADLINE).predict(POOR, DEADLINE),
    "activate": lambda client: HttpRegistry(client, Deadlines(*[DEADLINE] * 4)).activate(NEW, {}),
    "train": lambda client: HttpRegistry(client, Deadlines(*[DEADLINE] * 4)).train(Upload(CSV, 1, [b"x"]), {}),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def _given_up_soon(client: ModelServiceClient, call: Callable[[ModelServiceClient], object]) -> None:
    began = time.monotonic()
    with pytest.raises(ModelTimeout):
        call(client)
    assert time.monotonic() - began < FAR_TOO_LONG


class TestTheDeadline:
    @every_call
    @pytest.mark.parametrize("script", [*TRICKLES.values(), hang], ids=[*TRICKLES, "nothing"])
    def test_ends_an_answer_that_does_not_end(
        self, call: Callable[[ModelServiceClient], object], script: Script, tls: ssl.SSLContext, trusting: Certificates
    ) -> None:
        with serving(script, tls=tls) as server:
            _given_up_soon(ModelServiceClient(server.url, None, trusting), call)

    def test_ends_a_body_that_is_not_read(self, tls: ssl.SSLContext, trusting: Certificates) -> None:
        with serving(hang, read_bodies=False, tls=tls) as server:
            registry = HttpRegistry(ModelServiceClient(server.url, None, trusting), Deadlines(*[DEADLINE] * 4))
            _given_up_soon(registry._client, lambda _: registry.train(Upload(CSV, None, _endless()), {}))

    def test_ends_a_handshake_that_does_not_begin(self, trusting: Certificates) -> None:
        with serving(hang) as server:
            client = ModelServiceClient(server.url.replace("http", "https"), None, trusting)
            began = time.monotonic()
            for call in CALLS.values():
                with pytest.raises(ModelUnavailable):
                    call(client)
            assert time.monotonic() - began < FAR_TOO_LONG


class TestConnections:
    def test_are_kept_and_used_again(self, tls: ssl.SSLContext, trusting: Certificates) -> None:
        with serving(serving_model(FakeModel()), tls=tls) as server:
            model = HttpModel(ModelServiceClient(server.url, None, trusting), 5.0)
            for _ in range(3):
                model.predict(POOR, 5.0)
        assert (server.connections, len(server.requests)) == (1, 3)

    def test_closed_while_idle_are_replaced(self, tls: ssl.SSLContext, trusting: Certificates) -> None:
        answer = always(http(json.dumps(FakeModel().active())), keep_open=False)
        with serving(answer, tls=tls) as server:
            model = HttpModel(ModelServiceClient(server.url, None, trusting), 5.0)
            for _ in range(3):
                model.active()
        assert server.connections == 3

    def test_carry_a_long_body(self, tls: ssl.SSLContext, trusting: Certificates) -> None:
        registry = FakeRegistry()
        with serving(serving_registry(registry), tls=tls) as server:
            client = HttpRegistry(ModelServiceClient(server.url, None, trusting), Deadlines(5.0, 5.0))
            client.train(Upload(CSV, None, [b"x" * 100_000] * 10), {})
        assert len(registry.uploads[0][2]) == 1_000_000

    def test_with_whom_is_not_trusted_is_none(
        self, tls: ssl.SSLContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        others = Certificates(ca=Authority(tmp_path).cert)
        with serving(hang, tls=tls) as server:
            for call in CALLS.values():
                with pytest.raises(ModelUnavailable):
                    call(ModelServiceClient(server.url, None, others))
        assert "no TLS connection to the model service" in caplog.text

    def test_give_up_after_a_silence_long_before_the_deadline(
        self, tls: ssl.SSLContext, trusting: Certificates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_client, "SILENCE_SECONDS", DEADLINE)
        with serving(hang, tls=tls) as server:
            registry = HttpRegistry(ModelServiceClient(server.url, None, trusting), Deadlines(*[60.0] * 4))
            _given_up_soon(registry._client, lambda _: registry.models())
