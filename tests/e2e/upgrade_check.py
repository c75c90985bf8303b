"""Whether a store and a database of an earlier version still work: ``make upgrade-check BEFORE=<commit>``.

The code of the commit trains a model and fills a database, by its own commands and over its own API. Then the code of
this checkout takes the store over (``python -m model_service upgrade``) and serves both: whatever can be read must read
equal, texts that are composed on reading aside, and what was begun (deletions, an erasure, repetitions, rotations,
customers without a segment) must come to its end. With ``BACK=yes`` the code of the commit then serves again what this
checkout has made of it, with its worker, and what it reads differently is named: that is what a rollback would meet.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import click
import orjson
import requests
from pymongo import MongoClient
from support import api_story
from support.documented import Documented, DocumentedClient, Reply
from support.servers import Mongod, free_port, running_mongod

from gateway.services.events.audit import FORMER_NAMES
from shared.features import CUST_ID
from shared.model_contract import CSV
from tests.conftest import ROOT, SAMPLE_CSV
from tests.e2e.conftest import GRANIAN, UVICORN, System, wait_until

PERSON = "Person-4711"
PENDING = "C90010"
DELETED = "S00007"
LOOKED_AT = 20
"""Customers whose segment is explained and predicted anew."""
KEYED = {"body": {**api_story.ANN, CUST_ID: "C90020"}, "Idempotency_Key": "upgrade-C90020"}
SCORED = ("segment", "confidence", "rival", "borderline", "model_version")
LIVE = {"as_of", "last_used_at", "size", "share", "customers", "pending", "outdated"}
"""Members that differ from one reading to the next, or because the worker has gone on meanwhile."""
COMPOSED = {"sentence", "detail", "remarks", "choice", "title", "not_reached"}
"""Members whose text is made when it is read: another wording is named and is no fault."""

Seen = dict[str, Any]


class Left(NamedTuple):
    """What the earlier version promised its callers and the later one must keep."""

    created: Any
    etag: str
    cursor: str
    next_page: list[str]
    erasure: str
    key: str
    rotated: str
    revoked: str


class Version(System):
    """The system as the code in a folder is, on a database and a store that are there already."""

    @contextmanager
    def serving(self) -> Iterator[DocumentedClient]:
        """Serve, without a worker; give a client that knows this version's own document."""
        try:
            self.start_model(UVICORN)
            self.start_gateway(GRANIAN)
            document = self.http.get(f"{self.base}/openapi.json", timeout=10).json()
            yield DocumentedClient(Documented(document), self._send)
        finally:
            self.stop()

    def _send(self, method: str, address: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        answer = self.http.request(method, self.base + address, headers=dict(headers), data=body, timeout=60)
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)

    def train(self, *options: str) -> None:
        done = self.run("model_service", "train", str(SAMPLE_CSV), *options, seconds=600)
        assert done.returncode == 0, done.stderr


def fill(system: Version, api: DocumentedClient, story: ModuleType) -> Left:
    """Use everything of which something stays, as the version's own `story` does."""
    assert system.run("gateway", "import", str(SAMPLE_CSV)).returncode == 0
    system.start_worker()  # since the change log it counts the segments, of which the story reads
    wait_until(lambda: system.http.get(f"{system.base}/api/v1/segments", timeout=10).ok, "segments are counted", 120)
    system.kill("worker")

    def ended(training: str) -> bool:
        return api("getTraining", 200, training_id=training).body["status"] in ("completed", "failed", "cancelled")

    for chapter in (story.customers, story.imports, story.deletions, story.segments, story.models):
        chapter(api)
    story.trainings(api, lambda training: wait_until(lambda: ended(training), "the training has ended", 60))
    story.api_keys(api)
    created = api("createCustomer", 201, KEYED["body"], Idempotency_Key=KEYED["Idempotency_Key"])
    api("deleteCustomer", 204, cust_id=DELETED)
    page = api("listCustomers", 200, limit=50, sort="-BALANCE").body
    following = api("listCustomers", 200, limit=50, sort="-BALANCE", cursor=page["next_cursor"]).body
    keys = [_new_key(api, name) for name in ("kept", "rotated", "revoked")]
    api("rotateApiKey", 200, {"overlap_seconds": 86_400}, key_id=keys[1]["id"])
    api("revokeApiKey", 204, key_id=keys[2]["id"])
    api("createCustomer", 201, {**api_story.ANN, CUST_ID: PERSON})
    system.kill("model")
    api("createCustomer", 201, {**api_story.BOB, CUST_ID: PENDING})
    erasure = api("deleteCustomer", 200, cust_id=PERSON, erase=True).body
    assert erasure["status"] == "in_progress"
    system.start_model(UVICORN)
    secrets = [key["key"] for key in keys]
    items = [customer[CUST_ID] for customer in following["items"]]
    return Left(created.body, created.headers["etag"], page["next_cursor"], items, erasure["id"], *secrets)


def _new_key(api: DocumentedClient, name: str) -> Any:
    return api("createApiKey", 201, {"name": name, "scopes": ["customers:read"]}).body


class Reader:
    """Reads everything that can be read; `found` has it by what it was asked for with."""

    def __init__(self, api: DocumentedClient) -> None:
        self._api = api
        self.found: Seen = {}
        customers = self._pages("listCustomers", limit=500)[:LOOKED_AT]
        self._rows = [{name: customer[name] for name in api_story.FEATURES} for customer in customers]
        self._customers(customers)
        self._deletions()
        self._imports()
        self._models()
        self._trainings()
        for key in self._pages("listApiKeys"):
            self._read("getApiKey", key_id=key["id"])

    def _read(self, operation: str, body: Any = None, **given: Any) -> Any:
        reply = self._api(operation, 200, body, **given)
        value = reply.body if reply.media_type == "application/json" else reply.content
        self.found[asked(operation, **given)] = value
        return value

    def _pages(self, operation: str, **given: Any) -> list[Any]:
        items = pages(self._api, operation, **given)
        self.found[asked(operation)] = items
        return items

    def _customers(self, some: list[Any]) -> None:
        for customer in some:
            self._read("getCustomerSegment", cust_id=customer[CUST_ID], explain=True)
        table = self._read("exportCustomers", format="csv").decode().splitlines()
        lines = self._read("exportCustomers", format="ndjson").splitlines()
        # By columns, since some may have been added.
        self.found[asked("exportCustomers", format="csv")] = list(csv.DictReader(table))
        self.found[asked("exportCustomers", format="ndjson")] = [json.loads(line) for line in lines]

    def _deletions(self) -> None:
        for customer in self._pages("listDeletedCustomers"):
            self._read("getDeletedCustomer", cust_id=customer[CUST_ID])
        for erasure in [e for name in ("C90003", PERSON) for e in self._read("listErasures", CUST_ID=name)["items"]]:
            self._read("getErasure", erasure_id=erasure["id"])

    def _imports(self) -> None:
        for kept in self._pages("listImports"):
            self._read("getImport", import_id=kept["id"])
            self._read("getImportErrors", import_id=kept["id"])

    def _models(self) -> None:
        for version in [entry["version"] for entry in self._read("listModels")["items"]]:
            for operation in ("getModel", "getGate", "getDrift", "getReport", "previewModel"):
                self._read(operation, version=version)
            for plot in self._read("listPlots", version=version)["items"]:
                self._read("getPlot", version=version, name=plot["name"], kind="svg")
            self._read("predict", {"customers": self._rows}, version=version)
        self._read("predict", self._rows[0], explain=True)
        self._read("listActivations")

    def _trainings(self) -> None:
        for training in self._read("listTrainings")["items"]:
            self._read("getTraining", training_id=training["id"])
            self._read("getTrainingLog", training_id=training["id"])


def segments(api: DocumentedClient) -> Seen:
    """Return what the segments are called and look like."""
    items = api("listSegments", 200).body["items"]
    return {segment["id"]: [segment, api("getSegment", 200, segment_id=segment["id"]).body] for segment in items}


def pages(api: DocumentedClient, operation: str, **given: Any) -> list[Any]:
    """Return a whole list."""
    page = api(operation, 200, **given).body
    items: list[Any] = page["items"]
    while page["next_cursor"] is not None:
        page = api(operation, 200, **given, cursor=page["next_cursor"]).body
        items += page["items"]
    return items


def asked(operation: str, **given: Any) -> str:
    """Return the name of a reading."""
    return " ".join([operation, *(f"{name}={value}" for name, value in given.items())])


def differences(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Yield what differs, and whether it is no more than the wording of a text."""
    name = path.rpartition(".")[2].partition("[")[0]
    if name in LIVE or before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before):  # what has been added is no fault
            yield from differences(before.get(key), now.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for n, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f"{path}[{n}]")
    else:
        wording = name in COMPOSED
        yield f"{path}: {str(before)[:200]} -> {str(now)[:200]}", wording


def kept_promises(system: Version, api: DocumentedClient, left: Left) -> None:
    """Repeat a request, go on with a cursor, change with an ETag and call with keys, all of the version before."""
    # Not by the documented client: a kept answer is as the version before documented it.
    customers = f"{system.base}/api/v1/customers"
    again = {"Idempotency-Key": KEYED["Idempotency_Key"], "Content-Type": "application/json"}
    repeated = system.http.post(customers, data=orjson.dumps(KEYED["body"]), headers=again, timeout=10)
    assert repeated.status_code == 201, repeated.text
    assert repeated.json() == left.created, "a repeated request has the first one's answer"
    page = api("listCustomers", 200, limit=50, sort="-BALANCE", cursor=left.cursor).body
    assert [customer[CUST_ID] for customer in page["items"]] == left.next_page, "a cursor goes on where it was"
    api("patchCustomer", 200, {"BALANCE": 1600}, cust_id="C90020", If_Match=left.etag)
    for secret, status in ((left.key, 200), (left.rotated, 200), (left.revoked, 401)):
        answer = requests.get(customers, headers={"Authorization": f"Bearer {secret}"}, timeout=10)
        assert answer.status_code == status, f"{secret[:17]}: {answer.text}"


def restored_and_scored(api: DocumentedClient, before: Seen) -> None:
    """Restore a customer that the version before deleted; score anew those that it scored; import its file again."""
    copy = before[asked("getDeletedCustomer", cust_id=DELETED)]
    restored = api("restoreCustomer", 200, cust_id=DELETED).body
    was = {name: copy[name] for name in (*api_story.ANN, "segment", "created_at")}
    was["segment"] = {name: value for name, value in was["segment"].items() if name not in ("since", "cause")}
    changed = list(differences(was, restored))
    assert not changed, f"restored as it was: {changed}"
    assert restored["segment"]["cause"] == "restored"
    for name, known in before.items():
        # The version before had no segment of it either: the worker has still to assign it.
        if name.startswith("getCustomerSegment") and known[CUST_ID] != PENDING:
            scored = api("rescoreCustomer", 200, cust_id=known[CUST_ID]).body
            assert {n: scored[n] for n in SCORED} == {n: known[n] for n in SCORED}, f"{known[CUST_ID]} as before"
    with SAMPLE_CSV.open("rb") as file:
        receipt = api("importCustomers", 201, file.read(), CSV).body
    assert receipt["unchanged"] == receipt["rows"] > 0, receipt


def ended_by_the_worker(system: Version, api: DocumentedClient, left: Left) -> None:
    """Let the worker assign who has no segment, and end the erasure."""
    assert api("getCustomer", 200, cust_id=PENDING).body["segment_status"] == "pending"
    killed_worker(system)
    system.start_worker()
    wait_until(lambda: system.pending() == 0, "the worker assigns who has no segment", 60)
    # Versions before the change log did not write down why it was due.
    assert api("getCustomerSegment", 200, cust_id=PENDING).body["cause"] in (None, "customer_data")

    def erased() -> bool:
        return bool(api("getErasure", 200, erasure_id=left.erasure).body["status"] == "completed")

    wait_until(erased, "the worker ends the erasure", 60)
    wait_until(lambda: system.http.get(f"{system.base}/api/v1/segments", timeout=10).ok, "segments are counted", 60)
    with MongoClient[dict[str, Any]](system.env["MONGODB_URI"]) as client:
        database = client.get_default_database()
        wait_until(lambda: "audit" not in database.list_collection_names(), "the audit trail has been brought over", 60)
        # The feed tells other systems the id for 72 hours more; MongoDB deletes it then.
        wait_until(lambda: "expiry" in database["erased_ids"].index_information(), "the worker makes indexes", 60)
        assert database["erased_ids"].index_information()["expiry"]["expireAfterSeconds"] == 72 * 3600
        everything = {
            name: list(database[name].find()) for name in database.list_collection_names() if name != "erased_ids"
        }
    traces = {name: found for name, all_ in everything.items() if (found := [d for d in all_ if PERSON in repr(d)])}
    assert traces == {}, f"of an erased customer nothing is left: {traces}"


def killed_worker(system: Version) -> None:
    """Let a worker begin to bring the audit trail over, and kill it."""
    with MongoClient[dict[str, Any]](system.env["MONGODB_URI"]) as client:
        changes = client.get_default_database()["changes"]
        system.start_worker()
        wait_until(lambda: changes.estimated_document_count() > 0, "the worker begins", 60)
    system.kill("worker")


def in_the_log(api: DocumentedClient, trail: list[Any]) -> None:
    """Hold the change log to the audit trail of before, newest first: all of it, once and in its order."""
    today = [{**entry, "action": FORMER_NAMES.get(entry["action"], entry["action"])} for entry in trail]
    known = {entry["id"] for entry in today}
    found = [entry for entry in pages(api, "listAuditEntries", limit=100) if entry["id"] in known]
    assert list(differences(today, found)) == []


def new_models(system: Version, api: DocumentedClient, before: Seen) -> None:
    """Activate a model of the version before and go back; train on from its active one."""
    versions = before["listModels"]
    candidate = next(entry["version"] for entry in versions["items"] if entry["status"] != "active")
    api("activateModel", 200, {"reason": "upgraded", "force": True}, version=candidate)
    assert api("rollBackModel", 200, {"reason": "and back"}).body["version"] == versions["active"]
    system.train("--k", "6", "--no-activate")
    newest = api("listModels", 200).body["items"][0]
    assert newest["parent"] == versions["active"]
    segments = api("getModel", 200, version=newest["version"]).body["segments"]
    assert {segment["match"]["status"] for segment in segments} == {"kept"}, "the segments keep their ids"


def gone_back(old: Version, new: Seen) -> int:
    """Serve by the version before what the later one has made of its data, and write; return how much differs."""
    with old.serving() as api:
        old.start_worker()
        differ = _report(new, Reader(api).found)
        for entry in new[asked("listModels")]["items"][:1]:
            api("getModel", 200, version=entry["version"])
        api("createCustomer", 201, {**api_story.ANN, CUST_ID: "C90030"})
        wait_until(lambda: old.pending() == 0, "its worker assigns", 60)
        api("deleteCustomer", 204, cust_id="C90030")
        api("restoreCustomer", 200, cust_id="C90030")
    return differ


def check(commit: str, back: bool = False) -> int:
    """Run it; return how much differs."""
    with tempfile.TemporaryDirectory(prefix="upgrade-") as name, running_mongod() as mongod:
        folder = Path(name)
        code = _code_of(commit, folder / "before")
        ports = free_port(), free_port()
        env = _environment(folder, mongod, *ports)
        key = _new_administrator(code, env)
        old = Version(folder, env | {"PYTHONPATH": str(code)}, *ports, code, key)
        old.train("--k-min", "6", "--k-max", "7")
        old.train("--k", "3", "--no-activate")
        with old.serving() as api:
            left = fill(old, api, _story_of(code))
            before, trail = Reader(api).found, pages(api, "listAuditEntries", limit=100)
            described = segments(api)
        mongod.stop()
        mongod.start()
        new = Version(folder, env | {"PYTHONPATH": str(ROOT)}, *ports, ROOT, key)
        taken_over = new.run("model_service", "upgrade")
        assert taken_over.returncode == 0, taken_over.stderr
        with new.serving() as api:
            faults = _report(before, Reader(api).found)
            kept_promises(new, api, left)
            restored_and_scored(api, before)
            ended_by_the_worker(new, api, left)
            in_the_log(api, trail)
            faults += _report(described, segments(api))
            new_models(new, api, before)
            for fault in api.faults:
                click.echo(f"not as documented: {fault}")
            faults += len(api.faults)
            today = Reader(api).found
        if back:
            click.echo(f"back to {commit[:12]}: {gone_back(old, today)} readings differ from those of this checkout")
    click.echo(f"{len(before)} readings of {commit[:12]}, {faults} differ; what was begun has come to its end")
    return faults


def _report(before: Seen, now: Seen) -> int:
    found = list(differences(before, now))
    for text, wording in found:
        click.echo(f"{'wording' if wording else 'DIFFERS'} {text}")
    return sum(not wording for _, wording in found)


def _environment(folder: Path, mongod: Mongod, gateway_port: int, model_port: int) -> dict[str, str]:
    return {
        "MONGODB_URI": mongod.uri("upgrade"),
        "MODEL_SERVICE_URL": f"http://127.0.0.1:{model_port}",
        "MODEL_PORT": str(model_port),
        "MODEL_STORE": str(folder / "models"),
        "GATEWAY_PORT": str(gateway_port),
        "WORKER_INTERVAL": "0.2",
        "DEPLOYMENT": "development",
    }


def _code_of(commit: str, folder: Path) -> Path:
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


def _story_of(code: Path) -> ModuleType:
    spec = spec_from_file_location("story_of_before", code / "tests" / "support" / "api_story.py")
    assert spec is not None
    assert spec.loader is not None
    story = module_from_spec(spec)
    spec.loader.exec_module(story)
    return story


def _new_administrator(code: Path, env: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "gateway", "keys", "create", "--name", "upgrade", "--scope", "admin"]
    env = {**os.environ, **env, "PYTHONPATH": str(code)}
    done = subprocess.run(command, cwd=code, env=env, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("which commit's store and database? make upgrade-check BEFORE=<commit>")
    sys.exit(min(check(sys.argv[1], back=os.environ.get("BACK") == "yes"), 1))
