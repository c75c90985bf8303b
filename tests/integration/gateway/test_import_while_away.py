"""MongoDB goes away in the middle of an import: what is told, what is kept, and how it is finished."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from types import MappingProxyType

import pytest
from fakes.gateway import FakeGateway
from flask import Flask
from support.customers import inputs
from support.problems import assert_problem
from support.servers import STOP_SECONDS, Mongod, running_mongod

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.imports import MongoImportRecords
from gateway.services.errors import ImportInterrupted
from gateway.services.imports.imports import ImportOptions
from gateway.services.imports.source import Batch
from gateway.services.principal import COMMAND_LINE
from gateway.settings import Settings
from gateway.stores import connect
from shared.customer_files.header import ReadColumn
from shared.features import complete

BATCHES = 12


@pytest.fixture(scope="module")
def own_mongod() -> Iterator[Mongod]:
    """A mongod that only the tests of this module use: they stop it."""
    with running_mongod() as server:
        yield server


@pytest.fixture
def gateway(own_mongod: Mongod) -> Iterator[FakeGateway]:
    """The gateway on it, that waits for the database only for a moment."""
    uri = own_mongod.uri(f"test_{uuid.uuid4().hex}")
    database = connect(Flask("test"), Settings(mongodb_uri=uri, mongodb_timeout=1.0))
    records = MongoImportRecords(database["imports"], database["import_faults"], timedelta(days=1))
    yield FakeGateway(store=MongoCustomerStore(database["customers"], bulk_deadline=1.0), imports=records)
    database.client.close()


class Rows:
    """Batches of a hundred rows; after some of them something happens."""

    columns: tuple[ReadColumn, ...] = ()
    ignored_columns: tuple[str, ...] = ()
    blank_rows = 0
    missing_words: Mapping[str, int] = MappingProxyType({})
    bytes_read = 0

    def __init__(self, happens: Callable[[], object] = lambda: None) -> None:
        self._happens = happens

    def batches(self) -> Iterator[Batch]:
        for number in range(BATCHES):
            if number == BATCHES // 2:
                self._happens()
            ids = [f"C{number}-{row}" for row in range(100)]
            first = 2 + number * 100
            yield Batch([(i, complete(inputs())) for i in ids], range(first, first + 100), [], 0)

    def close(self) -> None:
        pass


def _until_it_answers(gateway: FakeGateway) -> None:
    """Wait until the gateway, which looks for the database every half second, has found it."""
    give_up_at = time.monotonic() + STOP_SECONDS
    while gateway.client.get("/health/ready").status_code != 200:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_tells_what_is_stored_and_sending_again_finishes_it(gateway: FakeGateway, own_mongod: Mongod, how: str) -> None:
    assert own_mongod.process is not None
    pid = own_mongod.process.pid
    away = own_mongod.kill if how == "killed" else lambda: os.kill(pid, signal.SIGSTOP)
    back = own_mongod.start if how == "killed" else lambda: os.kill(pid, signal.SIGCONT)
    imports = gateway.services.imports
    run = imports.begin(Rows(away), ImportOptions(), COMMAND_LINE)
    try:
        *_, receipt = run.progress()
    finally:
        back()
    assert receipt["status"] == "interrupted"
    with pytest.raises(ImportInterrupted, match="The database cannot"):
        run.check()
    _until_it_answers(gateway)
    stored = sum(1 for _ in islice(gateway.store.stream(["BALANCE"], 100), BATCHES)) * 100
    assert 0 < receipt["created"] <= stored < BATCHES * 100
    again = imports.begin(Rows(), ImportOptions(), COMMAND_LINE)
    *_, receipt = again.progress()
    assert (receipt["status"], receipt["unchanged"] + receipt["created"]) == ("completed", BATCHES * 100)
    assert receipt["unchanged"] >= stored
    gateway.services.imports.run_once()


def test_over_http_it_is_a_503(own_mongod: Mongod) -> None:
    uri = own_mongod.uri(f"test_{uuid.uuid4().hex}")
    database = connect(Flask("test"), Settings(mongodb_uri=uri, mongodb_timeout=0.5))
    gateway = FakeGateway(store=MongoCustomerStore(database["customers"], bulk_deadline=0.5))
    names = ",".join(["CUST_ID", *inputs()])
    cells = ",".join(["A", *map(str, inputs().values())])
    own_mongod.kill()
    try:
        answer = gateway.client.post("/api/v1/imports", data=f"{names}\n{cells}\n", content_type="text/csv")
    finally:
        own_mongod.start()
        database.client.close()
    assert_problem(answer, 503, "import_interrupted")
