"""Settings: a wrong value stops the start and names its variable; secrets come from files."""

from __future__ import annotations

from pathlib import Path

import pytest
from environs import EnvError

from gateway.settings import Settings, read_settings

VARIABLES = {
    "MONGODB_URI": ("mongodb_uri", "mongodb://db.example:27018/bank", "mongodb://db.example:27018/bank"),
    "MONGODB_USERNAME": ("mongodb_username", "gateway", "gateway"),
    "MONGODB_PASSWORD": ("mongodb_password", "s3cret", "s3cret"),
    "MONGODB_TIMEOUT": ("mongodb_timeout", "1.5", 1.5),
    "MODEL_SERVICE_URL": ("model_service_url", "https://model:8443/base", "https://model:8443/base"),
    "ASSIGNMENT_DEADLINE": ("assignment_deadline", "0.25", 0.25),
    "PREDICTION_DEADLINE": ("prediction_deadline", "1", 1.0),
    "BULK_DEADLINE": ("bulk_deadline", "60", 60.0),
    "ANALYSIS_DEADLINE": ("analysis_deadline", "900", 900.0),
    "GATEWAY_HOST": ("host", "0.0.0.0", "0.0.0.0"),
    "GATEWAY_PORT": ("port", "9000", 9000),
    "GATEWAY_WORKERS": ("workers", "2", 2),
    "GATEWAY_THREADS": ("threads", "8", 8),
    "GATEWAY_MAX_BODY_BYTES": ("max_body_bytes", "4096", 4096),
    "GATEWAY_MAX_UPLOAD_BYTES": ("max_upload_bytes", "5000000000", 5_000_000_000),
    "WORKER_INTERVAL": ("worker_interval", "0.5", 0.5),
    "WORKER_HEARTBEAT": ("worker_heartbeat", "/tmp/beat", Path("/tmp/beat")),
    "LOG_LEVEL": ("log_level", "DEBUG", "DEBUG"),
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "MONGODB_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_need_no_environment() -> None:
    assert read_settings() == Settings()


def test_every_setting_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (_, text, _) in VARIABLES.items():
        monkeypatch.setenv(name, text)
    settings = read_settings()
    assert {attribute for attribute, _, _ in VARIABLES.values()} == set(Settings.__slots__)
    assert {a: getattr(settings, a) for a, _, _ in VARIABLES.values()} == {a: v for a, _, v in VARIABLES.values()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGODB_URI", ""),
        ("MONGODB_URI", "localhost:27017/bank"),
        ("MONGODB_URI", "mongodb://localhost:27017/"),
        ("MONGODB_URI", "mongodb://localhost:99999/bank"),
        ("MONGODB_URI", "mongodb://user:p@ss@localhost/bank"),
        ("MONGODB_TIMEOUT", "0"),
        ("MONGODB_TIMEOUT", "soon"),
        ("MONGODB_TIMEOUT", "nan"),
        ("MONGODB_TIMEOUT", "inf"),
        ("MODEL_SERVICE_URL", ""),
        ("MODEL_SERVICE_URL", "model:8001"),
        ("MODEL_SERVICE_URL", "ftp://model:8001"),
        ("MODEL_SERVICE_URL", "http://"),
        ("MODEL_SERVICE_URL", "http://model:99999"),
        ("MODEL_SERVICE_URL", "http://model:port"),
        ("MODEL_SERVICE_URL", "http://model:0"),
        ("MODEL_SERVICE_URL", "http://[::1"),
        ("ASSIGNMENT_DEADLINE", "-1"),
        ("PREDICTION_DEADLINE", "0"),
        ("BULK_DEADLINE", "x"),
        ("ANALYSIS_DEADLINE", "0"),
        ("ANALYSIS_DEADLINE", "1e9"),
        ("GATEWAY_MAX_UPLOAD_BYTES", "1023"),
        ("GATEWAY_MAX_UPLOAD_BYTES", "1e9"),
        ("GATEWAY_PORT", "0"),
        ("GATEWAY_PORT", "65536"),
        ("GATEWAY_PORT", "8000.5"),
        ("GATEWAY_WORKERS", "0"),
        ("GATEWAY_THREADS", "none"),
        ("GATEWAY_MAX_BODY_BYTES", "10"),
        ("WORKER_INTERVAL", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("MONGODB_PASSWORD_FILE", "/nowhere/at/all"),
        ("MONGODB_PASSWORD_FILE", "/"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(EnvError, match=name):
        read_settings()


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n", encoding="utf-8")
    monkeypatch.setenv("MONGODB_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("MONGODB_PASSWORD", "from the environment")
    monkeypatch.setenv("MONGODB_USERNAME", "gateway")
    assert read_settings().mongodb_password == "from a file"


@pytest.mark.parametrize("alone", ["MONGODB_USERNAME", "MONGODB_PASSWORD"])
def test_half_of_the_credentials_is_refused(monkeypatch: pytest.MonkeyPatch, alone: str) -> None:
    monkeypatch.setenv(alone, "x")
    with pytest.raises(EnvError, match="MONGODB_USERNAME and MONGODB_PASSWORD"):
        read_settings()


def test_a_wrong_address_does_not_tell_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://user:hunter2@localhost:27017")
    with pytest.raises(EnvError, match="MONGODB_URI") as caught:
        read_settings()
    assert "hunter2" not in str(caught.value)
