from __future__ import annotations

from pathlib import Path

import pytest

from model_service.app import create_app
from model_service.settings import Settings, SettingsError, load_server_settings, load_settings, load_store_settings

NAMES = [name.upper() for name in Settings.model_fields]


SECRET = "xKq7vN2mRt9bWc4LzEh6JdYs8PfGu3Ao"
OTHER = "v7Tq2LmXe9RkWb4YzNc6HdJs8PfGu3Ao"
SECRETS = ("MODEL_SERVICE_SECRET", "MODEL_SIGNING_KEY", "MODEL_SIGNING_KEY_OLD", "MODEL_INFERENCE_SECRET")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_defaults_listen_on_loopback_only():
    settings = load_settings()
    assert settings.model_host == "127.0.0.1"
    assert settings.model_port == 8001
    assert settings.model_store == Path(".data/models")
    assert settings.max_body_bytes == 16 * 1024 * 1024
    assert settings.max_upload_bytes == 1024**3


def test_every_setting_comes_from_the_variable_of_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL_STORE", str(tmp_path))
    monkeypatch.setenv("MODEL_PORT", "9")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    settings = load_settings()
    assert (settings.model_store, settings.model_port, settings.log_level) == (tmp_path, 9, "ERROR")


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("MODEL_PORT", "")
    assert load_settings().model_port == 8001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL_PORT", "http"),
        ("MODEL_PORT", "65536"),
        ("MODEL_WORKERS", "0"),
        ("MODEL_POLL_SECONDS", "0"),
        ("MAX_BODY_BYTES", "-1"),
        ("MAX_UPLOAD_BYTES", "1023"),
        ("LOG_LEVEL", "loud"),
        ("MODEL_KEEP_VERSIONS", "0"),
        ("MODEL_KEEP_VERSIONS", "all"),
    ],
)
def test_a_wrong_value_fails_at_start_and_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: .*{value}"):
        create_app()


def test_all_wrong_values_are_named_at_once(monkeypatch):
    monkeypatch.setenv("MODEL_PORT", "x")
    monkeypatch.setenv("LOG_LEVEL", "y")
    with pytest.raises(SettingsError, match=r"MODEL_PORT: .*; LOG_LEVEL: "):
        load_settings()


@pytest.fixture
def needed(monkeypatch):
    """What no server starts without."""
    monkeypatch.setenv("MODEL_SERVICE_SECRET", OTHER)
    monkeypatch.setenv("MODEL_SIGNING_KEY", OTHER)


@pytest.mark.usefixtures("needed")
@pytest.mark.parametrize("name", SECRETS)
def test_a_server_takes_each_secret_from_the_variable(monkeypatch, name):
    monkeypatch.setenv(name, SECRET)
    assert getattr(load_server_settings(), name.lower()) == SECRET


@pytest.mark.usefixtures("needed")
@pytest.mark.parametrize("name", SECRETS)
def test_a_file_comes_before_the_variable(monkeypatch, tmp_path, name):
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv(name, "of the environment")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    assert getattr(load_server_settings(), name.lower()) == SECRET


@pytest.mark.usefixtures("needed")
@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "secret", ["", "hunter2", "changeme" * 5, Settings().model_service_secret, Settings().model_signing_key, "a" * 40]
)
def test_no_server_starts_without_good_secrets(monkeypatch, name, secret):
    monkeypatch.setenv(name, secret)
    if not secret and name in ("MODEL_SIGNING_KEY_OLD", "MODEL_INFERENCE_SECRET"):
        assert getattr(load_server_settings(), name.lower()) is None, "it is not needed"
        return
    with pytest.raises(SettingsError, match=rf"{name} \(or") as caught:
        create_app()
    assert not secret or secret not in str(caught.value)


@pytest.mark.usefixtures("needed")
@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_is_not_there_is_named(monkeypatch, name):
    monkeypatch.setenv(f"{name}_FILE", "/nowhere/at/all")
    with pytest.raises(SettingsError, match=f"{name}_FILE"):
        load_server_settings()


@pytest.mark.usefixtures("needed")
def test_inference_clients_have_another_secret_than_the_gateway(monkeypatch):
    monkeypatch.setenv("MODEL_INFERENCE_SECRET", OTHER)
    with pytest.raises(SettingsError, match="MODEL_INFERENCE_SECRET is MODEL_SERVICE_SECRET"):
        create_app()


def test_development_needs_no_secret(monkeypatch):
    monkeypatch.setenv("DEPLOYMENT", "development")
    assert load_server_settings() == Settings()


def test_what_uses_the_store_needs_the_key_that_signs_and_no_secret(monkeypatch):
    with pytest.raises(SettingsError, match="MODEL_SIGNING_KEY"):
        load_store_settings()
    monkeypatch.setenv("MODEL_SIGNING_KEY", SECRET)
    assert load_store_settings().model_signing_key == SECRET
    assert SECRET not in repr(load_store_settings())
