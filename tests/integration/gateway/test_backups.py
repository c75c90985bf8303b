"""Backups of a real mongod under writes, and back: what is whole, what goes on, what is refused, and who is killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes.api_keys import ADMIN_KEY, key_of
from fakes.gateway import CUSTOMERS, SEGMENTS, FakeGateway
from fakes.registry import NEW, OLD, FakeRegistry
from flask import Flask
from pymongo import MongoClient
from pymongo.database import Database
from support.customers import body, inputs
from support.problems import assert_problem
from support.served_model import SwitchedModel, SwitchedRegistry
from support.servers import Mongod, free_port, own_database

from gateway import stores
from gateway.__main__ import main
from gateway.data_access.mongo.backups import writer
from gateway.data_access.mongo.events.changes import MongoChangeLog
from gateway.services.clock import now
from gateway.services.errors import StoreError
from gateway.services.principal import Scope
from gateway.settings import Settings
from tests.conftest import ROOT

Document = dict[str, Any]
EVENTS = "/api/v1/events"
SECRET = "a secret that the tests of backups have"


@contextmanager
def _gateway(uri: str, registry: FakeRegistry | None = None) -> Iterator[FakeGateway]:
    """Give a gateway on a database, with a fake model whose active version is that of the registry."""
    registry = registry or FakeRegistry()
    settings = Settings(mongodb_uri=uri, secret_key=SECRET, mongodb_timeout=30)
    database = stores.connect(Flask("test"), settings)
    kept = stores.mongo_stores(database, settings)
    fields = {name: getattr(kept, name) for name in kept.__dataclass_fields__ if name != "customers"}
    with closing(database.client):
        model = SwitchedModel(registry)
        yield FakeGateway(settings=settings, store=kept.customers, model=model, registry=registry, **fields)


def _run(uri: str, *words: object, **env: str) -> Result:
    nobody = f"http://127.0.0.1:{free_port()}"
    env = {"MONGODB_URI": uri, "GATEWAY_SECRET_KEY": SECRET, "MODEL_SERVICE_URL": nobody, **env}
    return CliRunner().invoke(main, [*map(str, words)], env=env)


def _done(uri: str, *words: object, **env: str) -> Result:
    done = _run(uri, *words, **env)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def uri(mongodb_uri: str) -> str:
    return mongodb_uri


@pytest.fixture
def other_uri(mongod: Mongod, mongo_client: MongoClient[Document]) -> Iterator[str]:
    """The address of a second database, which is empty."""
    with own_database(mongo_client) as name:
        yield mongod.uri(name)


@pytest.fixture
def database(mongo_client: MongoClient[Document], uri: str) -> Database[Document]:
    return mongo_client[uri.rpartition("/")[2].partition("?")[0]]


@pytest.fixture
def other(mongo_client: MongoClient[Document], other_uri: str) -> Database[Document]:
    return mongo_client[other_uri.rpartition("/")[2].partition("?")[0]]


@pytest.fixture(scope="module")
def small(mongod: Mongod, module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a few customers."""
    uri, folder = mongod.uri(module_database), tmp_path_factory.mktemp("backups") / "small"
    with _gateway(uri) as gateway:
        gateway.keys.insert(key_of(ADMIN_KEY, [Scope.ADMIN]))
        for number in range(5):
            assert gateway.client.post(CUSTOMERS, json=body(f"C{number}")).status_code == 201
        gateway.logged()
    _done(uri, "backup", folder)
    return folder


def _write(gateway: FakeGateway, name: str, done: threading.Event) -> None:
    """Create, change, delete and restore customers until it is enough."""
    client, number = gateway.app.test_client(), 0
    while not done.is_set():
        cust_id, number = f"{name}{number % 20}", number + 1
        if client.post(CUSTOMERS, json=body(cust_id)).status_code == 409:
            assert client.patch(f"{CUSTOMERS}/{cust_id}", json={"BALANCE": number * 7.0}).status_code in (200, 404)
        if number % 5 == 0:
            client.delete(f"{CUSTOMERS}/{cust_id}")
        if number % 10 == 0:
            client.post(f"{CUSTOMERS}/{cust_id}/restore")


def _relay(gateway: FakeGateway, done: threading.Event) -> None:
    while not done.is_set():
        gateway.services.relay.run_once()


def _wait_for_changes(database: Database[Document], changes: int) -> None:
    while database["changes"].estimated_document_count() < changes:
        time.sleep(0.01)


def _events(gateway: FakeGateway, cursor: str) -> tuple[list[Document], str]:
    found = []
    while True:
        page = gateway.client.get(f"{EVENTS}?limit=1000&after={cursor}").json
        found, cursor = found + page["items"], page["next_cursor"]
        if not page["more"]:
            return found, cursor


def _assert_whole(database: Database[Document], position: int) -> None:
    """Of every customer the log and the outbox together have each change once; the log has every position once."""
    assert [each["_id"] for each in database["changes"].find().sort("_id")] == list(range(1, position + 1))
    logged = defaultdict[Any, list[int]](list)
    for entry in database["changes"].find({"subject.type": "customer"}):
        logged[entry["subject"]["id"], entry["created_at"]].append(entry["seq"])
    checked = 0
    for customer in (*database["customers"].find(), *database["deleted_customers"].find()):
        waiting = [e["seq"] for e in customer["outbox"] if e["seq"] > customer.get("logged", 0)]
        assert logged[customer["_id"], customer["created_at"]] + waiting == list(range(1, customer["seq"] + 1))
        checked += 1
    assert checked > 5


def _counts(database: Database[Document]) -> dict[str, int]:
    return {name: database[name].count_documents({}) for name in database.list_collection_names()}


def test_what_was_backed_up_under_writes_is_one_moment_and_goes_on(
    uri: str, other_uri: str, database: Database[Document], other: Database[Document], tmp_path: Path
) -> None:
    folder, over = tmp_path / "new", threading.Event()
    with _gateway(uri) as gateway, ThreadPoolExecutor(3) as threads:
        gateway.keys.insert(key_of(ADMIN_KEY, [Scope.ADMIN]))
        keyed = {"json": body("KEYED"), "headers": {"Idempotency-Key": "backup"}}
        first = gateway.client.post(CUSTOMERS, **keyed)
        gateway.client.patch(f"{CUSTOMERS}/KEYED", json={"BALANCE": 5_000.0})
        gateway.logged()
        as_of = f"?as_of={now().isoformat(timespec='milliseconds')}Z"
        looks = (f"{CUSTOMERS}/KEYED/segment{as_of}", f"{SEGMENTS}{as_of}", f"{CUSTOMERS}/KEYED/history")
        seen = [gateway.client.get(address) for address in looks]
        read, cursor = _events(gateway, "1")
        writers = [threads.submit(_write, gateway, name, over) for name in "AB"]
        relay = threads.submit(_relay, gateway, over)
        try:
            _wait_for_changes(database, 50)
            _done(uri, "backup", folder)
            _wait_for_changes(database, database["changes"].estimated_document_count() + 10)
        finally:
            over.set()
        for each in (*writers, relay):
            each.result()
        gateway.logged()
        missed, end = _events(gateway, cursor)

    _done(other_uri, "restore", folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    counted = _counts(other)
    bridge = other["changes"].find_one_and_delete({"type": "database.restored"})
    assert bridge is not None
    _assert_whole(other, manifest["position"])
    other["changes"].insert_one(bridge)
    written = {name: part["documents"] for name, part in manifest["collections"].items() if part["documents"]}
    assert counted == {
        **written,
        "changes": written["changes"] + 1,
        **({"restores": 0} if "restores" in counted else {}),
    }

    with _gateway(other_uri) as restored:
        assert [(a.status_code, a.json) for a in seen] == [
            (a.status_code, a.json) for a in map(restored.client.get, looks)
        ]
        again = restored.client.post(CUSTOMERS, **keyed)
        assert (again.status_code, again.json) == (201, first.json)
        assert again.headers["Idempotency-Replayed"] == "true"
        found, last = _events(restored, cursor)
        assert found == missed[: len(found)]
        assert 0 < len(found) < len(missed)
        assert restored.client.patch(f"{CUSTOMERS}/KEYED", json={"BALANCE": 1.0}).status_code == 200
        waiting = _counts(other)
        while restored.services.relay.run_once():
            pass
        new, _ = _events(restored, last)
        assert {"type": "customer.updated", "id": "KEYED"} in [
            {"type": event["type"], "id": event["subject"]["id"]} for event in new
        ]
        ids = [int(event["id"]) for event in (*read, *found, *new)]
        assert ids == sorted(set(ids))
        assert min(int(event["id"]) for event in new) > max(int(event["id"]) for event in missed)
        # Who had read what was lost must not take other changes for it.
        problem = assert_problem(restored.client.get(f"{EVENTS}?after={end}"), 410, "cursor_expired")
        assert _events(restored, problem["earliest"])[0] == new
        assert waiting["customers"] == _counts(other)["customers"]
        assert restored.client.get("/api/v1/audit?action=database.restored").json["items"][0]["subject"] == {
            "type": "backup",
            "id": manifest["id"],
        }
    used = set(database.list_collection_names()) | set(other.list_collection_names())
    assert used - {*stores.BACKED_UP, *writer.NOT_BACKED_UP} == set()


def test_a_backup_is_for_its_owner_alone_and_of_a_format_that_others_read(small: Path) -> None:
    assert small.stat().st_mode & 0o777 == 0o700
    files = sorted(small.iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert [f.name for f in files if f.suffix != ".gz"] == ["manifest.json"]
    manifest = json.loads((small / "manifest.json").read_bytes())
    assert manifest["collections"]["customers"]["documents"] == 5
    assert SECRET not in (small / "manifest.json").read_text()
    assert manifest["position"] == 5


def _change_manifest(change: Callable[[Document], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        path = folder / "manifest.json"
        manifest = json.loads(path.read_bytes())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return damage


def _flip(folder: Path) -> None:
    path = folder / "customers.bson.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _unpackable(folder: Path) -> None:
    """Damage a file and make its digest fit, as somebody could who packs a backup anew."""
    content = b"not compressed"
    (folder / "customers.bson.gz").write_bytes(content)
    part = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    _change_manifest(lambda m: m["collections"]["customers"].update(part))(folder)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file is cut short": (lambda f: os.truncate(f / "customers.bson.gz", 50), "is damaged: it has 50 bytes"),
    "a bit of a file": (_flip, "SHA-256 is not that of the manifest"),
    "a file is missing": (lambda f: (f / "changes.bson.gz").unlink(), "cannot be read: No such file"),
    "another format": (_change_manifest(lambda m: m.update(format=2)), "format 2, and this version reads 1"),
    "a collection of later": (
        _change_manifest(lambda m: m["collections"].update(ledgers={"documents": 0, "bytes": 0, "sha256": ""})),
        "does not know (ledgers)",
    ),
    "a path for a name": (
        _change_manifest(lambda m: m["collections"].update({"../x": {"documents": 0, "bytes": 0, "sha256": ""}})),
        "does not know (../x)",
    ),
    "a member is missing": (_change_manifest(lambda m: m.pop("position")), "manifest.json is damaged"),
    "no JSON": (lambda f: (f / "manifest.json").write_bytes(b"{"), "manifest.json is damaged"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "is no backup: it has no manifest.json"),
    "not compressed": (_unpackable, "customers.bson.gz cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_is_refused_before_it_is_served(
    damage: str, small: Path, tmp_path: Path, uri: str, database: Database[Document]
) -> None:
    folder = shutil.copytree(small, tmp_path / "damaged")
    do, message = DAMAGES[damage]
    do(folder)
    done = _run(uri, "restore", folder)
    assert (done.exit_code, message in done.stderr) == (1, True), done.output
    if damage == "not compressed":  # its digest is that of the manifest: only reading it shows
        assert "being restored" in _run(uri, "keys", "list").stderr
    else:
        assert database.list_collection_names() == []


def test_only_an_empty_database_is_filled(small: Path, uri: str, database: Database[Document]) -> None:
    database["counters"].insert_one({"_id": "changes"})
    done = _run(uri, "restore", small)
    assert (done.exit_code, "is not empty (counters)" in done.stderr) == (1, True)
    assert _counts(database) == {"counters": 1}


@pytest.mark.parametrize(
    ("where", "message"),
    [("small", "is there already"), ("small/manifest.json/x", "cannot be written"), ("none/x", "cannot be written")],
)
def test_a_backup_needs_a_new_folder_that_can_be_written(small: Path, uri: str, where: str, message: str) -> None:
    done = _run(uri, "backup", small.parent / where)
    assert (done.exit_code, message in done.stderr) == (1, True), done.output
    assert [path.name for path in small.parent.iterdir()] == ["small"]


def test_a_backup_needs_room(
    small: Path, mongod: Mongod, module_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    done = _run(mongod.uri(module_database), "backup", tmp_path / "new")
    assert (done.exit_code, "0 MB free, and a backup may take" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_nothing(
    mongod: Mongod, small: Path, module_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._File, "write", full)
    done = _run(mongod.uri(module_database), "backup", tmp_path / "new")
    assert (done.exit_code, "No space left on device" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_moment_that_is_not_kept_any_more_says_what_to_do(
    mongod: Mongod, small: Path, module_database: str, tmp_path: Path, mongo_client: MongoClient[Document]
) -> None:
    """MongoDB is told to keep none, and the moment passes."""
    window = "minSnapshotHistoryWindowInSeconds"
    before = mongo_client.admin.command({"getParameter": 1, window: 1})[window]
    settings = Settings(mongodb_uri=mongod.uri(module_database), secret_key=SECRET)
    database = stores.connect(Flask("test"), settings)

    def pass_by(_name: str, _documents: int) -> None:
        for _ in range(40):  # the oldest moment moves on with what is written
            database["former_values"].insert_one({"cust_id": "x"})

    mongo_client.admin.command({"setParameter": 1, window: 0})
    try:
        with pytest.raises(writer.BackupError, match="keeps the history of one moment"):
            stores.backup(database, settings).write(tmp_path / "new", pass_by)
    finally:
        mongo_client.admin.command({"setParameter": 1, window: before})
        database["former_values"].delete_many({"cust_id": "x"})
        database.client.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from flask import Flask
from gateway import stores
from gateway.services.backups import LaterErasures
from gateway.settings import read_settings

settings = read_settings()
database = stores.connect(Flask("killed"), settings)

def die(name, done):
    if name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "backup":
    stores.backup(database, settings).write(Path(sys.argv[2]), die)
else:
    restore = stores.restore(database, settings, Path(sys.argv[2]))
    restore.begin(lambda *_: None)
    restore.load(LaterErasures({}), str, die)
"""


def _kill(uri: str, what: str, folder: Path, at: str) -> None:
    """Do it in a process that is killed when it has done a part of a collection."""
    env = {**os.environ, "MONGODB_URI": uri, "GATEWAY_SECRET_KEY": SECRET, "DEPLOYMENT": "development"}
    done = subprocess.run([sys.executable, "-c", KILLED, what, str(folder), at], cwd=ROOT, env=env)
    assert done.returncode == -signal.SIGKILL


def test_half_a_backup_is_none_and_the_next_run_begins_anew(
    mongod: Mongod, small: Path, module_database: str, tmp_path: Path, other_uri: str, other: Database[Document]
) -> None:
    uri, folder = mongod.uri(module_database), tmp_path / "new"
    _kill(uri, "backup", folder, "customers")
    left = tmp_path / "new.partial"
    assert list(tmp_path.iterdir()) == [left]
    assert "customers.bson.gz" in [path.name for path in left.iterdir()]
    assert "is no backup" in _run(other_uri, "restore", left).stderr
    _done(uri, "backup", folder)
    assert list(tmp_path.iterdir()) == [folder]
    _done(other_uri, "restore", folder)
    assert other["customers"].count_documents({}) == 5


def test_nobody_serves_half_a_restore_and_the_same_command_ends_it(
    small: Path, tmp_path: Path, uri: str, database: Database[Document]
) -> None:
    _kill(uri, "restore", small, "customers")
    settings = Settings(mongodb_uri=uri, secret_key=SECRET)
    with pytest.raises(StoreError, match="being restored"):
        stores.require_replica_set(settings)
    for words in (["worker"], ["keys", "list"], ["backup", tmp_path / "new"]):
        assert "being restored" in _run(uri, *words).stderr
    with _gateway(uri) as gateway:  # one that has been there since before
        assert_problem(gateway.unjudged.get("/health/ready"), 503, "store_unavailable")
    another = shutil.copytree(small, tmp_path / "another")
    _change_manifest(lambda m: m.update(id="another"))(another)
    assert "the restore of another backup" in _run(uri, "restore", another).stderr
    assert "5 customers" in _done(uri, "restore", small).stdout
    counts = Counter(_counts(database)) - Counter({"restores": 0})
    manifest = json.loads((small / "manifest.json").read_bytes())
    written = Counter({name: part["documents"] for name, part in manifest["collections"].items()})
    assert counts - written == {"changes": 1}
    with _gateway(uri) as gateway:
        assert gateway.client.get("/health/ready").status_code == 200
        assert len(gateway.client.get(CUSTOMERS).json["items"]) == 5
    assert "is not empty" in _run(uri, "restore", small).stderr


def test_what_expires_is_counted_before_the_server_removes_it(
    small: Path, uri: str, database: Database[Document]
) -> None:
    settings = Settings(mongodb_uri=uri, secret_key=SECRET)
    connected = stores.connect(Flask("test"), settings)
    schema = stores.mongo_stores(connected, settings).schema
    schema.bring_up_to_date()
    _done(uri, "restore", small)
    expiring = {name for name in schema.missing() if "expir" in name}
    assert {name.split(".")[0] for name in expiring} <= {p.name.split(".")[0] for p in small.iterdir()}
    assert schema.bring_up_to_date() == len(expiring)
    connected.client.close()


def test_who_was_erased_after_the_backup_does_not_come_back(
    uri: str, other_uri: str, other: Database[Document], tmp_path: Path
) -> None:
    folder, erased = tmp_path / "new", tmp_path / "erased.ndjson"
    with _gateway(uri) as gateway:
        gateway.keys.insert(key_of(ADMIN_KEY, [Scope.ADMIN]))
        for cust_id in ("STAYS", "STORED", "DELETED", "WAITING", "BACK"):
            headers = {"Idempotency-Key": f"erasure-{cust_id}"}
            assert gateway.client.post(CUSTOMERS, json=body(cust_id), headers=headers).status_code == 201
        gateway.client.delete(f"{CUSTOMERS}/DELETED")
        gateway.client.delete(f"{CUSTOMERS}/BACK?erase=true")
        gateway.client.post(CUSTOMERS, json=body("BACK"))
        gateway.logged()
        gateway.client.put(f"{CUSTOMERS}/WAITING", json=inputs(BALANCE=7.0))
        _done(uri, "backup", folder)
        for cust_id in ("STORED", "DELETED", "WAITING"):
            assert gateway.client.delete(f"{CUSTOMERS}/{cust_id}?erase=true").status_code == 200
        gateway.logged()
        events = gateway.client.get(f"{EVENTS}?type=customer.erased").json["items"]
    listed = _done(uri, "erasures").stdout
    assert len(listed.splitlines()) == 4
    erased.write_text(listed + "".join(json.dumps(event) + "\n" for event in events))

    refused = _run(other_uri, "restore", folder, "--erased", erased, GATEWAY_SECRET_KEY="another" * 8)
    assert "another GATEWAY_SECRET_KEY" in refused.stderr
    done = _done(other_uri, "restore", folder, "--erased", erased, REQUIRE_IF_MATCH="true")
    assert "3 customers erased again" in done.stdout
    gone = {"$in": ["STORED", "DELETED", "WAITING"]}
    for name, member in (
        ("customers", "_id"),
        ("deleted_customers", "_id"),
        ("changes", "subject.id"),
        ("former_values", "cust_id"),
        ("idempotency", "customers"),
    ):
        assert other[name].find_one({member: gone}) is None, name
    with _gateway(other_uri) as restored:
        restored.logged()
        assert [each["CUST_ID"] for each in restored.client.get(CUSTOMERS).json["items"]] == ["BACK", "STAYS"]
        for cust_id, times in (("STORED", 1), ("DELETED", 1), ("BACK", 1), ("STAYS", 0)):
            found = restored.client.get(f"/api/v1/erasures?CUST_ID={cust_id}").json["items"]
            assert len(found) == times, cust_id
    assert other["former_values"].find_one({"cust_id": "STAYS"}) is None
    assert other["outbox"].find_one({"outbox.subject.id": gone}) is None


def test_a_store_that_was_copied_after_the_database_is_followed(
    uri: str, other_uri: str, other: Database[Document], tmp_path: Path
) -> None:
    """What was activated between the two copies is told once, and everybody is scored by it."""
    registry = SwitchedRegistry()
    with _gateway(uri, registry) as gateway:
        gateway.keys.insert(key_of(ADMIN_KEY, [Scope.ADMIN]))
        gateway.client.post(CUSTOMERS, json=body("C1"))
        gateway.services.models.history.run_once()
        _done(uri, "backup", tmp_path / "new")
        assert gateway.client.post(f"/api/v1/models/{NEW}/activate", json={}).status_code == 200
    _done(other_uri, "restore", tmp_path / "new")
    with _gateway(other_uri, registry) as restored:
        assert other["customers"].find_one()["segment"]["model_version"] == OLD  # type: ignore[index]
        for _ in range(2):
            restored.services.models.history.record()
        restored.services.assignments.reconciler.run_once(lambda: None)
        told = [entry["after"] for entry in restored.logged() if entry["type"] == "model.activated"]
        assert told.count(NEW) == 1
        assert other["customers"].find_one()["segment"]["model_version"] == NEW  # type: ignore[index]
        assert restored.client.get("/api/v1/models/active").json["version"] == NEW


@pytest.mark.parametrize("line", ["{}", "[]", "x", '{"digest": "00", "id": "e1"}', '{"data": {"digest": 7}}'])
def test_a_list_of_erasures_that_is_none_is_refused(
    line: str, small: Path, tmp_path: Path, uri: str, database: Database[Document]
) -> None:
    erased = tmp_path / "erased"
    erased.write_text(f"{'0' * 64}\n\n{line}\n")
    done = _run(uri, "restore", small, "--erased", erased)
    assert (done.exit_code, "line 3 of the list of erasures is none" in done.stderr) == (1, True)
    assert database.list_collection_names() == []


def test_a_backup_restored_twice_gives_no_position_twice(small: Path, uri: str, database: Database[Document]) -> None:
    """Who had read on after the first time would take other changes for those, and never hear of what was lost."""
    begun = []
    for _ in range(2):
        _done(uri, "restore", small)
        begun.append(database["changes"].find_one({"type": "database.restored"}) or {})
        database.client.drop_database(database.name)
    assert begun[0]["follows"] == begun[1]["follows"]
    assert begun[1]["_id"] - begun[0]["_id"] > 1_000, "others came in between"
    assert 2 * begun[1]["_id"] < 2**53, "JavaScript reads numbers of events"


def test_the_log_is_dropped_across_a_restore(small: Path, uri: str, database: Database[Document]) -> None:
    """Step by step over the positions that are left out it would take a hundred thousand calls."""
    _done(uri, "restore", small)
    connected = stores.connect(Flask("test"), Settings(mongodb_uri=uri))
    log = MongoChangeLog(connected, timedelta(days=365))
    assert log.forget(now() + timedelta(days=1)) == 6
    assert log.memory().position == log.head() + 1
    connected.client.close()
