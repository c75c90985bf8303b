"""What lies between the tiers: the secret that they share, and TLS with a certificate on either side."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.certificates import Authority, Pair
from support.customers import inputs
from support.servers import free_port

from gateway.data_access.model_service.client import Certificates, ModelServiceClient
from gateway.data_access.model_service.model import HttpModel
from gateway.data_access.model_service.registry import Deadlines, HttpRegistry
from gateway.services.errors import ModelAccessDenied, ModelServiceError, ModelUnavailable
from gateway.services.models.model import Move
from model_service.store.registry import ModelStore
from model_service.store.signatures import Signer
from model_service.store.upkeep import sign_anew
from shared.secret_rules import MODEL_SIGNING_KEY_IN_DEVELOPMENT

ROOT = Path(__file__).resolve().parents[3]
SECRET = "v7Tq2LmXe9RkWb4YzNc6HdJs8PfGu3Ao"
START_SECONDS = 60.0
SERVERS = {
    "uvicorn": ["model_service", "serve"],
    "gunicorn": ["gunicorn", "-c", "python:model_service.gunicorn_conf", "model_service.app:create_app()"],
}


class Access(NamedTuple):
    """What a client shows."""

    secret: str | None = None
    certificates: Certificates = Certificates()


def _model(url: str, access: Access) -> HttpModel:
    return HttpModel(ModelServiceClient(url, *access), 5.0)


def _registry(url: str, access: Access) -> HttpRegistry:
    return HttpRegistry(ModelServiceClient(url, *access), Deadlines(5.0, 5.0))


@contextlib.contextmanager
def _serving(store: ModelStore, log: Path, server: str, probe: Access, **settings: str) -> Iterator[str]:
    """Run tier 2 in production and yield its address."""
    sign_anew(ModelStore(store.directory, Signer(SECRET, MODEL_SIGNING_KEY_IN_DEVELOPMENT)))
    port = free_port()
    environment = {
        **os.environ,
        "DEPLOYMENT": "production",
        "MODEL_SERVICE_SECRET": SECRET,
        "MODEL_SIGNING_KEY": SECRET,
        "MODEL_STORE": str(store.directory),
        "MODEL_PORT": str(port),
        **settings,
    }
    url = f"{'https' if 'MODEL_TLS_CERT' in settings else 'http'}://127.0.0.1:{port}"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *SERVERS[server]], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        _wait(url, probe, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait(url: str, probe: Access, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(ModelServiceError):
            _model(url, probe).status()
            return
        time.sleep(0.05)
    pytest.fail(log.read_text())


@pytest.fixture(scope="module", params=SERVERS)
def url(
    request: pytest.FixtureRequest, sample_store: ModelStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    with _serving(sample_store, log, request.param, Access()) as served:
        yield served


class TestSecret:
    def test_opens_everything_to_the_gateway(self, url: str) -> None:
        access = Access(SECRET)
        prediction = _model(url, access).predict(inputs(), 5.0)
        assert prediction["rival"]
        version, rival, own = prediction["model_version"], prediction["rival"], prediction["segment"]
        move = Move(version, rival["id"], own["id"], {"BALANCE": [1.0, 2.5], "CREDIT_LIMIT": [None, 1000]})
        assert _model(url, access).explain_move(move, 5.0)["to"] == own
        assert _registry(url, access).models()["items"]

    @pytest.mark.parametrize("access", [Access(), Access(SECRET[::-1])], ids=["none", "another"])
    def test_missing_or_wrong_is_said_to_be_so(
        self, url: str, access: Access, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ModelAccessDenied):
            _model(url, access).predict(inputs(), 5.0)
        with pytest.raises(ModelAccessDenied):
            _registry(url, access).models()
        assert (
            caplog.messages
            == ["the model service does not know this gateway: give both tiers the same MODEL_SERVICE_SECRET"] * 2
        )

    def test_is_not_needed_to_see_whether_it_is_ready(self, url: str) -> None:
        assert _model(url, Access()).version()


class Tls:
    """An authority, a server's certificate, and the gateway's."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.server = self.authority.pair("model-service")
        self.gateway = self.authority.pair("gateway")

    def access(self, pair: Pair | None, ca: Path | None = None) -> Access:
        return Access(SECRET, Certificates(ca or self.authority.cert, pair and pair.cert, pair and pair.key))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=SERVERS)
def tls_url(
    request: pytest.FixtureRequest, sample_store: ModelStore, tls: Tls, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    files = {
        "MODEL_TLS_CERT": str(tls.server.cert),
        "MODEL_TLS_KEY": str(tls.server.key),
        "MODEL_TLS_CLIENT_CA": str(tls.authority.cert),
    }
    with _serving(sample_store, log, request.param, tls.access(tls.gateway), **files) as served:
        yield served


class TestMutualTls:
    def test_lets_the_gateway_in(self, tls_url: str, tls: Tls) -> None:
        access = tls.access(tls.gateway)
        assert _model(tls_url, access).predict(inputs(), 5.0)["segment"]
        assert _registry(tls_url, access).models()["items"]

    @pytest.mark.parametrize("known", [False, True], ids=["no certificate", "of another authority"])
    def test_keeps_others_out(self, tls_url: str, tls: Tls, tmp_path: Path, known: bool) -> None:
        anonymous = Authority(tmp_path).pair("anonymous") if known else None
        with pytest.raises(ModelUnavailable):
            _model(tls_url, tls.access(anonymous)).predict(inputs(), 5.0)
        with pytest.raises(ModelUnavailable):
            _registry(tls_url, tls.access(anonymous)).models()

    def test_a_service_of_another_authority_is_not_trusted(self, tls_url: str, tls: Tls, tmp_path: Path) -> None:
        access = tls.access(tls.gateway, Authority(tmp_path).cert)
        with pytest.raises(ModelUnavailable) as caught:
            _registry(tls_url, access).models()
        assert isinstance(caught.value.__cause__, ssl.SSLError)
