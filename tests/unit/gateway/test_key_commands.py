"""``python -m gateway keys``: what it prints, and how it ends when something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from fakes.api_keys import ADMIN_KEY
from fakes.gateway import CUSTOMERS, FakeGateway
from flask import Flask
from support.sessions import browser_of

from gateway import stores
from gateway.__main__ import main
from gateway.commands import keys as commands
from gateway.services.access.sessions import LONGEST
from gateway.services.errors import StoreUnavailable
from gateway.services.principal import Scope
from gateway.settings import Settings

OLD = "AdminAdmin01"


@pytest.fixture
def closed(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands on the fakes of `gateway`; the list tells whether the connection was closed."""
    closed: list[str] = []
    client = SimpleNamespace(close=lambda: closed.append("closed"))

    def connect(_: Flask, __: Settings) -> SimpleNamespace:
        return SimpleNamespace(client=client)

    monkeypatch.setattr(stores, "connect", connect)
    monkeypatch.setattr(stores, "mongo_stores", lambda *_: gateway.stores)
    monkeypatch.setattr(commands, "end_without_replica_set", lambda _: None)
    return closed


@pytest.fixture
def run(closed: list[str]) -> CliRunner:
    return CliRunner()


def _run(run: CliRunner, *arguments: str) -> Result:
    return run.invoke(main, ["keys", *arguments])


def _status(gateway: FakeGateway, key: str) -> int:
    return gateway.anonymous.get(CUSTOMERS, headers={"Authorization": f"Bearer {key}"}).status_code


class TestCreate:
    @pytest.mark.parametrize("name", ["\udcff", "CRM \ud800 2", "a\0b"])
    def test_refuses_a_name_that_cannot_be_stored(self, run: CliRunner, gateway: FakeGateway, name: str) -> None:
        done = _run(run, "create", "--name", name, "--scope", "admin")
        assert done.exit_code == 1
        assert "none of them a control character" in done.stderr
        assert [key.name for key in gateway.keys.keys.values() if key.name == name] == []

    def test_prints_a_key_that_works_and_nothing_else(self, run: CliRunner, gateway: FakeGateway) -> None:
        done = _run(run, "create", "--name", "CRM", "--scope", "customers:read", "--scope", "predictions")
        assert done.exit_code == 0, done.output
        assert _status(gateway, done.stdout.strip()) == 200
        key = gateway.keys.keys[done.stdout.split("_")[1]]
        assert (key.name, key.scopes) == ("CRM", {Scope.CUSTOMERS_READ, Scope.PREDICTIONS})
        assert key.created_by == "system:command-line"
        assert (key.expires_at - key.created_at).days == 365
        assert "is not shown again" in done.stderr

    def test_closes_its_connection(self, run: CliRunner, closed: list[str]) -> None:
        _run(run, "create", "--name", "CRM", "--scope", "admin", "--expires-days", "1")
        assert closed == ["closed"]

    @pytest.mark.parametrize("scope", Scope)
    def test_knows_every_scope(self, run: CliRunner, scope: Scope) -> None:
        assert _run(run, "create", "--name", "CRM", "--scope", scope.value).exit_code == 0

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--name", "CRM"], "--scope"),
            (["--scope", "admin"], "--name"),
            (["--name", "CRM", "--scope", "root"], "root"),
            (["--name", "CRM", "--scope", "ADMIN"], "ADMIN"),
            (["--name", "CRM", "--scope", "admin", "--expires-days", "731"], "731"),
            (["--name", "CRM", "--scope", "admin", "--expires-days", "0"], "0 is not"),
            (["--name", "a\nb", "--scope", "admin"], "name must be 1 to 100 characters"),
            (["--name", "", "--scope", "admin"], "name must be 1 to 100 characters"),
        ],
        ids=repr,
    )
    def test_refuses_nonsense(self, run: CliRunner, gateway: FakeGateway, options: list[str], said: str) -> None:
        done = _run(run, "create", *options)
        assert done.exit_code != 0
        assert said in done.stderr
        assert len(gateway.keys.keys) == 1


def test_list_shows_every_key_without_its_secret(
    run: CliRunner, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_PAGE", 2)
    for name in ("one", "two", "three", "four"):
        _run(run, "create", "--name", name, "--scope", "admin")
    gateway.keys.revoke(OLD, gateway.keys.keys[OLD].created_at)
    gateway.client.get(CUSTOMERS)
    lines = _run(run, "list").stdout.splitlines()
    assert len(lines) == 5
    assert {name for name in ("one", "two", "three", "four") if sum(line.endswith(name) for line in lines) == 1}
    assert [line for line in lines if "revoked" in line and line.startswith(OLD)]
    assert ADMIN_KEY.split("_")[2] not in "".join(lines)


def test_revoke_ends_a_key(run: CliRunner, gateway: FakeGateway) -> None:
    done = _run(run, "revoke", OLD)
    assert (done.exit_code, done.stdout) == (0, f"revoked {OLD}\n")
    assert _status(gateway, ADMIN_KEY) == 401


def test_rotate_prints_the_new_secret(run: CliRunner, gateway: FakeGateway) -> None:
    done = _run(run, "rotate", OLD, "--overlap-seconds", "0", "--expires-days", "10")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"csk_{OLD}_")
    assert [_status(gateway, key) for key in (ADMIN_KEY, done.stdout.strip())] == [401, 200]
    key = gateway.keys.keys[OLD]
    assert (key.expires_at - key.old_until).days == 10


@pytest.mark.parametrize("command", [["revoke", "nobody"], ["rotate", "nobody"]])
def test_an_unknown_key_is_named(run: CliRunner, command: list[str]) -> None:
    done = _run(run, *command)
    assert (done.exit_code, done.stderr) == (1, "Error: There is no API key 'nobody'.\n")


@pytest.mark.parametrize("command", [["list"], ["create", "--name", "x", "--scope", "admin"], ["revoke", OLD]])
def test_without_the_database(run: CliRunner, gateway: FakeGateway, closed: list[str], command: list[str]) -> None:
    gateway.keys.failure = StoreUnavailable("the database cannot be reached")
    done = _run(run, *command)
    assert (done.exit_code, done.stderr) == (1, "Error: the database cannot be reached\n")
    assert closed == ["closed"]


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYMENT", "production")
    monkeypatch.setenv("GATEWAY_SECRET_KEY", "change-me")
    monkeypatch.setenv("MODEL_SERVICE_SECRET", "dC9sQm3bYb1Zk7vJx2TqLw8RnHfGp5Ae")
    done = CliRunner().invoke(main, ["keys", "list"])
    assert done.exit_code == 1
    assert 'Environment variable "GATEWAY_SECRET_KEY" (or "GATEWAY_SECRET_KEY_FILE") is too short' in done.stderr


class TestSignIn:
    @pytest.fixture
    def sign_in(self, run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
        return lambda *arguments: run.invoke(main, ["sign-in", *arguments])

    def test_prints_an_address_that_signs_in_once(self, sign_in: Callable[..., Result], gateway: FakeGateway) -> None:
        done = sign_in("--key", OLD, "--address", "https://segments.example.com/")
        assert done.exit_code == 0, done.output
        address, token = done.stdout.strip().split("#")
        assert address == "https://segments.example.com/sign-in/once"
        browser = browser_of(gateway, None)
        assert browser.post("/sign-in", data={"once": token}).status_code == 303
        assert browser.get("/settings/keys").status_code == 200
        assert f"with the key {OLD}, once, within 10 minutes" in done.stderr

    def test_makes_a_key_of_its_own_that_ends_with_the_session(
        self, sign_in: Callable[..., Result], gateway: FakeGateway
    ) -> None:
        done = sign_in("--scope", "models:read", "--scope", "customers:read", "--name", "Ada")
        assert done.stdout.startswith("http://127.0.0.1:8000/sign-in/once#cst_")
        (key,) = [key for key in gateway.keys.keys.values() if key.name == "Ada"]
        assert key.scopes == {Scope.MODELS_READ, Scope.CUSTOMERS_READ}
        assert key.expires_at - key.created_at == LONGEST
        assert gateway.logged()[0]["type"] == "api_key.created"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "Give either --key, or --scope"),
            (["--key", OLD, "--scope", "admin"], "Give either --key, or --scope"),
            (["--key", "nobody"], "nobody"),
            (["--key", OLD, "--minutes", "1441"], "1441"),
            (["--scope", "everything"], "everything"),
        ],
    )
    def test_says_what_is_wrong(
        self, sign_in: Callable[..., Result], gateway: FakeGateway, arguments: list[str], said: str
    ) -> None:
        done = sign_in(*arguments)
        assert done.exit_code != 0
        assert said in done.stderr
        assert gateway.one_time_tokens.tokens == {}
