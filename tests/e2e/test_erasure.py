"""The right to erasure over the whole system, with processes that die or are away in the middle of it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from pymongo import MongoClient
from support.customers import body
from support.servers import Mongod

from shared.features import CUST_ID, INPUT_NAMES
from tests.e2e.conftest import System, wait_until

PERSON = "Person-4711"


def _csv(*rows: dict[str, object]) -> str:
    names = [CUST_ID, *INPUT_NAMES]
    return "\n".join([",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]) + "\n"


def _collections_that_name_the_person(system: System) -> list[str]:
    with MongoClient(system.env["MONGODB_URI"]) as client:
        database = client.get_default_database()
        return [
            name
            for name in sorted(database.list_collection_names())
            if any(PERSON in repr(document) for document in database[name].find())
        ]


def _files_that_name_the_person(store: Path) -> list[Path]:
    files = [path for path in store.rglob("*") if path.is_file()]
    return [path for path in files if PERSON.encode() in path.read_bytes()]


def _leave_traces(system: System) -> str:
    """Write the person wherever the system may keep something; return the id of a training whose note names it."""
    api, http = f"{system.base}/api/v1", system.http
    keyed = {"Idempotency-Key": "e2e-erasure"}
    assert http.post(f"{api}/customers", json=body(PERSON), headers=keyed, timeout=10).status_code == 201
    assert http.delete(f"{api}/customers/{PERSON}", timeout=10).status_code == 204
    assert http.post(f"{api}/customers/{PERSON}/restore", timeout=10).ok
    assert http.delete(f"{api}/customers/{PERSON}", timeout=10).status_code == 204
    assert http.post(f"{api}/customers/batch", json={"customers": [body(PERSON)]}, timeout=10).json()["created"] == 1
    faulty = _csv(body(PERSON, TENURE=99), body("Other-2", BALANCE=PERSON), body(PERSON), body(PERSON), body("Other-1"))
    imported = http.post(f"{api}/imports", data=faulty, headers={"Content-Type": "text/csv"}, timeout=30)
    assert imported.ok, imported.text
    twice = _csv(*[body(PERSON), body("Other-1")] * 2)
    named = {"note": f"with {PERSON} and Other-1"}
    csv = {"Content-Type": "text/csv"}
    training = http.post(f"{api}/models", data=twice, params=named, headers=csv, timeout=30).json()["id"]

    def failed() -> bool:
        return bool(http.get(f"{api}/trainings/{training}", timeout=10).json()["status"] == "failed")

    wait_until(failed, "training refused", 60)
    record = http.get(f"{api}/trainings/{training}", timeout=10).json()
    assert PERSON in record["note"]
    assert PERSON not in record["reason"]  # which says what is wrong without repeating it
    return str(training)


def _provoke(system: System) -> None:
    """Let the person be named where something goes wrong: in addresses, bodies, headers, and what is no HTTP."""
    api, http, path = f"{system.base}/api/v1", system.http, f"/api/v1/customers/{PERSON}"
    assert http.get(f"{system.base}{path}/elsewhere", timeout=10).status_code == 404
    assert http.post(f"{api}/customers", json=body(PERSON), timeout=10).status_code == 409
    assert http.get(f"{api}/erasures", params={CUST_ID: PERSON}, timeout=10).ok
    assert http.get(f"{api}/customers", params={"cursor": PERSON}, timeout=10).status_code == 422
    twice = f'{{"{PERSON}": 1, "{PERSON}": 2}}'
    for said in ({"data": twice}, {"json": {PERSON: 1}}, {"data": PERSON}):
        assert http.put(f"{system.base}{path}", headers={"Content-Type": "application/json"}, timeout=10, **said).ok < 1
    assert http.get(f"{system.base}{path}", headers={"Authorization": f"Bearer {PERSON}"}, timeout=10).ok is False
    for request in (f"GET {path} HTTP/9.9", f"{PERSON} HTTP/1.1", f"GET {path} HTTP/1.1\r\n{PERSON}"):
        with socket.create_connection(("127.0.0.1", system.gateway_port), timeout=10) as connection:
            connection.sendall(f"{request}\r\n\r\n".encode())
            connection.recv(1024)


def _assert_no_log_names_the_person(system: System, mongod: Mongod, digest: str) -> None:
    """Nothing but JSON in the logs of all processes, with the digest in the place of the person, at DEBUG."""
    lines = {name: system.log(name).splitlines() for name in ("gateway", "worker", "model")}
    said = {name: [json.loads(line) for line in of] for name, of in lines.items()}
    assert [line for of in lines.values() for line in of if PERSON in line] == []
    assert PERSON not in (mongod.folder / "mongod.log").read_text(errors="replace")
    served = [line for line in said["gateway"] if line["logger"] == "gateway.access"]
    of_person = [line for line in served if line["customer"] == digest]
    assert {line["route"] for line in of_person} >= {
        "/api/v1/customers/{CUST_ID}",
        "/api/v1/customers/{CUST_ID}/restore",
    }
    assert {line["key"] for line in of_person} == {system.key.split("_")[1], None}  # None: a bad key
    in_both = {line["request_id"] for line in served} & {line["request_id"] for line in said["model"]}
    assert in_both, "tier 2 has the ids of the gateway's requests"
    by_worker = {line["request_id"] for line in said["worker"]} & {line["request_id"] for line in said["model"]}
    assert by_worker - {None}, "and those of what the worker did"


def test_an_erased_customer_is_nowhere_though_processes_were_killed_and_away(system: System, mongod: Mongod) -> None:
    model_store = Path(system.env["MODEL_STORE"])
    system.env["LOG_LEVEL"] = "DEBUG"
    system.start_model()
    system.start_gateway()
    system.start_worker()
    training = _leave_traces(system)
    digest = system.run("gateway", "digest", PERSON).stdout.strip()
    assert system.run("gateway", "digest", "--find", digest).stdout == f"{PERSON}\n"
    _provoke(system)
    wait_until(lambda: "changes" in _collections_that_name_the_person(system), "the log names the person")
    system.kill("worker")
    assert _files_that_name_the_person(model_store)

    system.kill("model")
    answer = system.http.delete(f"{system.base}/api/v1/customers/{PERSON}", params={"erase": "true"}, timeout=30)
    receipt = answer.json()
    assert (answer.status_code, receipt["status"], receipt["remaining"]) == (200, "in_progress", ["trainings"])
    assert receipt["erased"]["customers"] == 1
    assert _collections_that_name_the_person(system) == ["erasures", "outbox"]
    system.kill("gateway")

    system.start_worker()
    system.start_model()
    system.start_gateway()
    address = f"{system.base}/api/v1/erasures/{receipt['id']}"
    wait_until(lambda: system.http.get(address, timeout=10).json()["status"] == "completed", "erasure completed", 60)
    # For three days, for those who follow the feed.
    wait_until(lambda: _collections_that_name_the_person(system) == ["erased_ids"], "only who was erased is told")
    assert _files_that_name_the_person(model_store) == []
    note = system.http.get(f"{system.base}/api/v1/trainings/{training}", timeout=10).json()["note"]
    assert "[erased]" in note
    assert "Other-1" in note
    found = system.http.get(f"{system.base}/api/v1/erasures", params={CUST_ID: PERSON}, timeout=10).json()["items"]
    assert [erasure["id"] for erasure in found] == [receipt["id"]]
    _assert_no_log_names_the_person(system, mongod, digest)
