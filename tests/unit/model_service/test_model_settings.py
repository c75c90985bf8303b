from __future__ import annotations

from pathlib import Path

import pytest

from model_service.app import create_app
from model_service.settings import Settings, SettingsError, load_settings

NAMES = [name.upper() for name in Settings.model_fields]


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
