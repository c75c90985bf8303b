"""The application as `create_app` builds it from settings alone; nothing is connected until a request needs it."""

from __future__ import annotations

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from pymongo import WriteConcern

from gateway.app import create_app
from gateway.settings import Settings
from gateway.wiring import connect


def test_the_application_starts_without_its_neighbours() -> None:
    app = create_app(Settings())
    assert app.test_client().get("/health/live").status_code == 200


def test_flask_pymongo_does_not_bring_its_json_dialect() -> None:
    app = create_app(Settings())
    assert type(app.json) is DefaultJSONProvider
    assert app.json.loads('{"$oid": "0123456789ab0123456789ab"}') == {"$oid": "0123456789ab0123456789ab"}


def test_two_applications_have_two_databases() -> None:
    names = [connect(Flask("x"), Settings(mongodb_uri=f"mongodb://h/{n}")).database.name for n in ("one", "two")]
    assert names == ["one", "two"]


def test_writes_are_acknowledged_only_when_they_are_durable() -> None:
    assert connect(Flask("x"), Settings()).write_concern == WriteConcern("majority", j=True)


def test_the_database_is_waited_for_as_long_as_the_settings_say() -> None:
    client = connect(Flask("x"), Settings(mongodb_timeout=1.5)).database.client
    assert client.options.server_selection_timeout == 1.5
    assert client.options.pool_options.connect_timeout == 1.5
