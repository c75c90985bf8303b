"""The application as `create_app` builds it from settings alone; nothing is connected until a request needs it."""

from __future__ import annotations

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from pymongo import WriteConcern

from gateway.app import create_app
from gateway.data_access.model_service.registry import Deadlines, HttpRegistry
from gateway.services.access.concurrency import concurrency_limits
from gateway.settings import Settings
from gateway.stores import connect
from gateway.wiring import build_services


def test_the_application_starts_without_its_neighbours() -> None:
    app = create_app(Settings())
    assert app.test_client().get("/health/live").status_code == 200


def test_flask_pymongo_does_not_bring_its_json_dialect() -> None:
    app = create_app(Settings())
    assert type(app.json) is DefaultJSONProvider
    assert app.json.loads('{"$oid": "0123456789ab0123456789ab"}') == {"$oid": "0123456789ab0123456789ab"}


def test_two_applications_have_two_databases() -> None:
    names = [connect(Flask("x"), Settings(mongodb_uri=f"mongodb://h/{n}")).name for n in ("one", "two")]
    assert names == ["one", "two"]


def test_the_model_service_is_waited_for_as_long_as_each_call_deserves() -> None:
    settings = Settings(prediction_deadline=1.5, bulk_deadline=31.0, analysis_deadline=500.0)
    registry = build_services(Flask("x"), settings).models.registry
    assert isinstance(registry, HttpRegistry)
    assert registry._deadlines == Deadlines(reading=1.5, carrying=500.0, changing=10.0, drawing=40.0)


def test_a_process_is_bound_by_its_setting() -> None:
    bound = build_services(Flask("x"), Settings(threads=8)).access.concurrency_limits
    assert [limit.places for limit in bound] == [limit.places for limit in concurrency_limits(8)]


def test_writes_are_acknowledged_only_when_they_are_durable() -> None:
    assert connect(Flask("x"), Settings()).write_concern == WriteConcern("majority", j=True)


def test_the_database_is_waited_for_as_long_as_the_settings_say() -> None:
    client = connect(Flask("x"), Settings(mongodb_timeout=1.5)).client
    assert client.options.server_selection_timeout == 1.5
    assert client.options.pool_options.connect_timeout == 1.5
