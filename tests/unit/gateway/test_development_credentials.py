"""What `make run` makes once: a secret and an API key, for their owner's eyes only."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from gateway.development import credentials
from shared.secret_rules import secret_fault

BASE = "http://gateway"


class Session:
    """A gateway that knows these keys."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def get(self, url: str, *, headers: dict[str, str], **_: object) -> SimpleNamespace:
        assert url.startswith(BASE)
        return SimpleNamespace(ok=headers["Authorization"].removeprefix("Bearer ") in self.keys)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; each prints a new key."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=0, stdout=f"csk_{len(commands)}\n")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def _mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


class TestSecretKey:
    def test_is_made_once(self, tmp_path: Path) -> None:
        file = tmp_path / "new" / "secret"
        text = credentials.kept_secret(file).read_text(encoding="utf-8")
        assert secret_fault(text.strip()) is None
        assert _mode(file) == 0o600
        assert credentials.kept_secret(file).read_text(encoding="utf-8") == text

    def test_in_an_empty_file_is_made(self, tmp_path: Path) -> None:
        (tmp_path / "secret").touch(mode=0o644)
        assert credentials.kept_secret(tmp_path / "secret").read_text(encoding="utf-8")
        assert _mode(tmp_path / "secret") == 0o600


class TestApiKey:
    def test_is_made_and_kept(self, tmp_path: Path, made: list[list[str]]) -> None:
        file = tmp_path / "api_key"
        assert credentials.working_key(Session(), BASE, file) == "csk_1"
        assert (file.read_text(encoding="utf-8"), _mode(file)) == ("csk_1\n", 0o600)
        assert credentials.working_key(Session("csk_1"), BASE, file) == "csk_1"
        assert len(made) == 1

    def test_that_works_no_more_is_replaced(self, tmp_path: Path, made: list[list[str]]) -> None:
        file = tmp_path / "api_key"
        file.write_text("csk_old\n", encoding="utf-8")
        assert credentials.working_key(Session("csk_other"), BASE, file) == "csk_1"
        assert (file.read_text(encoding="utf-8"), _mode(file)) == ("csk_1\n", 0o600)

    def test_that_cannot_be_made_ends_the_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        failed = SimpleNamespace(returncode=1, stdout="", stderr="Error: no database\n")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(click.ClickException, match="no API key could be made: Error: no database"):
            credentials.working_key(Session(), BASE, tmp_path / "api_key")
        assert not (tmp_path / "api_key").exists()


class TestOneTimeAddress:
    KEY = "csk_000000000001_" + "k" * 43

    def test_is_made_for_the_id_of_the_key_and_never_told_its_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        commands: list[list[str]] = []

        def run(command: list[str], **_: object) -> SimpleNamespace:
            commands.append(command)
            return SimpleNamespace(returncode=0, stdout="http://gateway/sign-in/once#cst_x\n")

        monkeypatch.setattr(subprocess, "run", run)
        assert credentials.one_time_address(BASE, self.KEY) == "http://gateway/sign-in/once#cst_x"
        assert commands[0][2:] == ["gateway", "sign-in", "--key", "000000000001", "--minutes", "60", "--address", BASE]

    def test_that_cannot_be_made_ends_the_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        failed = SimpleNamespace(returncode=1, stdout="", stderr="Error: no database\n")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(click.ClickException, match="no address that signs in could be made: Error: no database"):
            credentials.one_time_address(BASE, self.KEY)
