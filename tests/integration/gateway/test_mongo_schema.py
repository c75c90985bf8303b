"""The database's schema on a real mongod: the worker brings it up to date, and a gateway serves whatever it finds."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from contracts.schema import SchemaContract
from fakes.gateway import CUSTOMERS, FakeGateway
from flask import Flask
from pymongo import MongoClient, timeout
from pymongo.database import Database
from support.customers import body, stored
from support.problems import assert_problem
from support.servers import STOP_SECONDS, free_port

from gateway.data_access.mongo import schema
from gateway.data_access.mongo.customer_schema import MAX_INDEXES, customer_schema
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.schema import CollectionSchema, MongoSchema
from gateway.development import mongod
from gateway.services.errors import StoreUnavailable
from gateway.settings import Settings
from gateway.stores import connect, schema_of

TIMEOUT = 2.0
"""MONGODB_TIMEOUT: how long a gateway waits for anything."""


@pytest.fixture(scope="module")
def obedient_mongod() -> Iterator[int]:
    """The port of a mongod that stops at fail points."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mongod-") as folder:
        command = [*mongod.command(Path(folder), port), "--setParameter", "enableTestCommands=1"]
        with subprocess.Popen(command) as process:
            mongod.wait_for_primary(port)
            yield port
            process.terminate()
            process.wait(STOP_SECONDS)


@pytest.fixture
def database(obedient_mongod: int) -> Iterator[Database[dict[str, Any]]]:
    """A database in which some customers are stored already, as the gateway connects to it."""
    database = connect(
        Flask("test"), Settings(mongodb_uri=mongod.uri(obedient_mongod, "schema"), mongodb_timeout=TIMEOUT)
    )
    MongoCustomerStore(database["customers"]).insert_many([stored(f"C{n}", BALANCE=float(n)) for n in range(100)])
    yield database
    database.client.drop_database("schema")
    database.client.close()


@contextmanager
def _builds_held_up(client: MongoClient[dict[str, Any]]) -> Iterator[None]:
    def fail_point(mode: str) -> None:
        client.admin.command("configureFailPoint", "hangAfterStartingIndexBuild", mode=mode)

    fail_point("alwaysOn")
    try:
        yield
    finally:
        fail_point("off")


def _wait_for_a_build(client: MongoClient[dict[str, Any]]) -> None:
    building = [{"$currentOp": {}}, {"$match": {"command.createIndexes": {"$exists": True}, "msg": {"$exists": True}}}]
    while not list(client.admin.aggregate(building)):
        pass


def _schema(database: Database[dict[str, Any]]) -> MongoSchema:
    return MongoSchema(database, schema_of(Settings()))


def test_a_gateway_that_starts_during_an_index_build_serves(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build also outlasts MONGODB_TIMEOUT, and ends all the same."""
    monkeypatch.setattr(schema, "_PROGRESS_SECONDS", 0.2)
    told: list[str] = []
    monkeypatch.setattr(schema.log, "info", lambda text, *values: told.append(text % values))
    with ThreadPoolExecutor(1) as worker:
        with _builds_held_up(database.client):
            build = worker.submit(_schema(database).bring_up_to_date)
            _wait_for_a_build(database.client)
            gateway = FakeGateway(store=MongoCustomerStore(database["customers"]), schema=_schema(database))
            _assert_serves(gateway, 100)
            assert "customers.model_version" in gateway.client.get("/health/ready").json["schema_missing"]
            time.sleep(TIMEOUT)
            assert not build.done()
            assert "building customers.model_version" in told[0]
            assert "Index Build: scanning collection" in told[-1]
        assert build.result(60) > 20
    assert _schema(database).missing() == []


def test_a_validator_waits_for_the_index_that_another_worker_builds(database: Database[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(1) as worker:
        with _builds_held_up(database.client):
            build = worker.submit(_create_slowly, database)
            _wait_for_a_build(database.client)
            validator = MongoSchema(database, [CollectionSchema("customers", (), customer_schema("").validator)])
            assert validator.bring_up_to_date() == 0
            assert validator.missing() == ["customers: validator"]
        build.result(60)
    assert validator.bring_up_to_date() == 1


def test_a_first_load_drops_indexes_that_are_being_built(database: Database[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(1) as worker:
        customers = MongoSchema(database, [customer_schema("customers")])
        customers.bring_up_to_date(put_off=True)
        with _builds_held_up(database.client):
            build = worker.submit(customers.bring_up_to_date)
            _wait_for_a_build(database.client)
            MongoCustomerStore(database["customers"]).drop_sort_indexes()
        with pytest.raises(StoreUnavailable):
            build.result(60)
    assert customers.bring_up_to_date() == len(customer_schema("customers").put_off)


def _create_slowly(database: Database[dict[str, Any]]) -> None:
    with timeout(60):
        database["customers"].create_index("TENURE")


def _assert_serves(gateway: FakeGateway, stored_before: int) -> None:
    client = gateway.client
    assert client.post(CUSTOMERS, json=body("NEW")).status_code == 201
    assert client.get(f"{CUSTOMERS}/NEW").status_code == 200
    assert_problem(client.post(CUSTOMERS, json=body("BAD", TENURE=13)), 422, "validation_failed", ["/TENURE"])
    for sort in ("CUST_ID", "BALANCE", "-confidence", "segment,-BALANCE"):
        assert (
            len(client.get(CUSTOMERS, query_string={"sort": sort, "limit": "500"}).json["items"]) == stored_before + 1
        )
    wanted = {"segment": "seg-01", "sort": "-BALANCE", "count": "exact"}
    assert client.get(CUSTOMERS, query_string=wanted).json["total"] == 1
    assert client.delete(f"{CUSTOMERS}/NEW").status_code == 204


class TestMongoSchema(SchemaContract):
    @pytest.fixture
    def schema(self, database: Database[dict[str, Any]]) -> MongoSchema:
        return _schema(database)

    def test_an_empty_database_without_a_worker_is_served(self, database: Database[dict[str, Any]]) -> None:
        database["customers"].drop()
        gateway = FakeGateway(store=MongoCustomerStore(database["customers"]), schema=_schema(database))
        _assert_serves(gateway, 0)
        assert "customers: validator" in gateway.client.get("/health/ready").json["schema_missing"]

    def test_an_older_validator_and_retired_indexes_are_replaced(
        self, database: Database[dict[str, Any]], schema: MongoSchema
    ) -> None:
        database.command("collMod", "customers", validator={"$jsonSchema": {"required": ["OLD"]}})
        database["customers"].create_index("segment_status", name="segment_status")
        assert "customers: validator" in schema.missing()
        schema.bring_up_to_date()
        MongoCustomerStore(database["customers"]).insert(stored("A"))
        assert "segment_status" not in database["customers"].index_information()

    def test_what_is_no_sort_key_any_more_loses_its_indexes_and_other_peoples_stay(
        self, database: Database[dict[str, Any]], schema: MongoSchema
    ) -> None:
        customers = database["customers"]
        before = ("by_BALANCE", "by_created_at", "segment_by_created_at", "the_banks_own")
        for name in before:
            customers.create_index([("created_at", 1), (name, 1)], name=name)
        schema.bring_up_to_date()
        left = customers.index_information()
        assert set(before) & set(left) == {"the_banks_own"}
        assert {"segment_by_BALANCE", "segment_by_updated_at"} < set(left)
        assert len(left) - 1 <= MAX_INDEXES

    def test_what_expires_has_an_index_for_it(self, database: Database[dict[str, Any]], schema: MongoSchema) -> None:
        schema.bring_up_to_date()
        deleted = database["deleted_customers"].index_information()
        assert deleted["expiry_when_logged"]["expireAfterSeconds"] == 0
        for name in ("idempotency", "imports", "import_faults", "rate_limits"):
            assert database[name].index_information()["expiry"]["expireAfterSeconds"] == 0

    def test_it_follows_a_new_retention(self, database: Database[dict[str, Any]]) -> None:
        for days in (30, 31):
            MongoSchema(database, schema_of(Settings(history_retention_days=days))).bring_up_to_date()
            assert database["former_values"].index_information()["expiry"]["expireAfterSeconds"] == days * 24 * 3600

    def test_by_many_at_once(self, database: Database[dict[str, Any]]) -> None:
        database["customers"].drop()
        with ThreadPoolExecutor(8) as workers:
            for done in [workers.submit(_schema(database).bring_up_to_date) for _ in range(8)]:
                done.result()
        assert _schema(database).missing() == []
