from __future__ import annotations

from pathlib import Path

import pytest

from model_service.app import create_app
from model_service.settings import Settings, SettingsError, load_server_settings, load_settings

NAMES = [name.upper() for name in Settings.model_fields]


SECRET = "xKq7vN2mRt9bWc4LzEh6JdYs8PfGu3Ao"


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


def test_a_server_takes_the_secret_from_the_variable(monkeypatch):
    monkeypatch.setenv("MODEL_SERVICE_SECRET", SECRET)
    assert load_server_settings().model_service_secret == SECRET


def test_a_file_comes_before_the_variable(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv("MODEL_SERVICE_SECRET", "of the environment")
    monkeypatch.setenv("MODEL_SERVICE_SECRET_FILE", str(tmp_path / "secret"))
    assert load_server_settings().model_service_secret == SECRET


@pytest.mark.parametrize("secret", ["", "hunter2", "changeme" * 5, Settings().model_service_secret, "a" * 40])
def test_no_server_starts_without_a_good_secret(monkeypatch, secret):
    monkeypatch.setenv("MODEL_SERVICE_SECRET", secret)
    with pytest.raises(SettingsError, match="MODEL_SERVICE_SECRET") as caught:
        create_app()
    assert not secret or secret not in str(caught.value)


def test_a_file_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("MODEL_SERVICE_SECRET_FILE", "/nowhere/at/all")
    with pytest.raises(SettingsError, match="MODEL_SERVICE_SECRET_FILE"):
        load_server_settings()


def test_development_needs_no_secret(monkeypatch):
    monkeypatch.setenv("DEPLOYMENT", "development")
    assert load_server_settings() == Settings()


def test_commands_need_no_secret():
    assert load_settings().deployment == "production"
