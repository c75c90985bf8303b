"""Records of imports on a real mongod."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
from contracts.imports import ImportRecordsContract, fault, record
from fakes.model import FakeModel
from fakes.registry import FakeRegistry
from pymongo.collection import Collection

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.imports import FAULT_INDEXES, RECORD_INDEXES, MongoImportRecords
from gateway.data_access.mongo.schema import CollectionSchema, MongoSchema
from gateway.services.errors import ImportRunning
from gateway.services.imports import imports as service
from gateway.services.imports.imports import ImportOptions
from gateway.services.imports.records import DETAILS
from gateway.services.principal import COMMAND_LINE
from gateway.settings import Settings
from gateway.stores import mongo_stores
from gateway.wiring import assemble

KEPT = timedelta(days=3)


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def records(customers: Collection) -> MongoImportRecords:
    """Without any import."""
    database = customers.database
    kept = [CollectionSchema("imports", RECORD_INDEXES), CollectionSchema("import_faults", FAULT_INDEXES)]
    MongoSchema(database, kept).bring_up_to_date()
    return MongoImportRecords(database["imports"], database["import_faults"], KEPT)


class TestOnMongoDB(ImportRecordsContract):
    pass


def test_all_of_it_expires(records: MongoImportRecords, customers: Collection) -> None:
    records.begin(record())
    records.note_faults("A", 0, [fault(2)])
    for name in ("imports", "import_faults"):
        collection = customers.database[name]
        assert collection.index_information()["expiry"]["expireAfterSeconds"] == 0
        (found,) = collection.find({"_id": {"$ne": "gate"}})
        assert found["expires_at"] is not None
    (begun,) = customers.database["imports"].find()
    assert begun["expires_at"] - begun["created_at"] == KEPT


def test_one_from_before_receipts_had_warnings_can_be_read(records: MongoImportRecords, customers: Collection) -> None:
    records.begin(record())
    customers.database["imports"].update_one({"_id": "A"}, {"$unset": dict.fromkeys(DETAILS[1:], "")})
    found = records.get("A")
    assert found is not None
    assert set(found) == set(record())
    assert (found["warnings"], found["segment_changes"]) == ([], {"count": 0, "unknown": 0, "moves": []})
    assert "older" in str(found["drift_unavailable"])


def test_one_that_is_heard_of_while_others_give_it_up_is_not_lost(records: MongoImportRecords) -> None:
    """The condition is part of the write: whoever is heard of after the decision is not overwritten by it."""
    records.begin(record())
    ended = threading.Event()

    def give_up() -> None:
        while not ended.is_set():
            records.interrupt_stale(0.5, "died")

    others = [threading.Thread(target=give_up) for _ in range(3)]
    for other in others:
        other.start()
    seen = set()
    for rows in range(300):
        records.note("A", {"rows": rows})
        found = records.get("A")
        assert found is not None
        seen.add((found["status"], found["rows"] == rows))
    ended.set()
    for other in others:
        other.join()
    assert seen == {("running", True)}


def test_the_end_of_one_that_died_is_told_once_by_many_at_once(
    customers: Collection, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HEARTBEAT_TIMEOUT", -1.0)
    monkeypatch.setattr(service, "REPORT_SECONDS", -1.0)
    settings = Settings(mongodb_uri=mongodb_uri)
    stores = mongo_stores(customers.database, settings)
    imports = [assemble(stores, FakeModel(), FakeRegistry(), settings).imports for _ in range(4)]
    died = imports[0].begin(SimpleNamespace(**source_members_of_nothing()), ImportOptions(), COMMAND_LINE).record  # type: ignore[arg-type]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each.run_once(), imports))
    while stores.outboxes.move(500):
        pass
    started, completed = stores.changes.after(0, None, 10)
    assert (started["type"], completed["type"]) == ("import.started", "import.completed")
    assert completed["subject"] == {"type": "import", "id": died["id"]}
    assert completed["data"]["status"] == "interrupted"


def source_members_of_nothing() -> dict[str, object]:
    """A source of which nothing has been read."""
    return {"bytes_read": 0, "columns": [], "ignored_columns": [], "blank_rows": 0, "missing_words": {}}


def test_of_many_at_once_one_runs_alone(records: MongoImportRecords, customers: Collection) -> None:
    together = MongoTransactions(customers.database, 30)

    def begin(number: int) -> bool:
        try:
            together.run(lambda: records.begin(record(f"R{number}"), alone=number % 2 == 0))
        except ImportRunning:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        begun = [number for number, did in enumerate(pool.map(begin, range(16))) if did]
    assert begun
    assert len(begun) == 1 or all(number % 2 for number in begun)
    assert sorted(item["id"] for item in records.page(None, 100)) == sorted(f"R{number}" for number in begun)
