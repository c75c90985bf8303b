"""The right to erasure over the whole system, with processes that die or are away in the middle of it."""

from __future__ import annotations

from pathlib import Path

from pymongo import MongoClient
from support.customers import body

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


def test_an_erased_customer_is_nowhere_though_processes_were_killed_and_away(system: System) -> None:
    model_store = Path(system.env["MODEL_STORE"])
    system.start_model()
    system.start_gateway()
    system.start_worker()
    training = _leave_traces(system)
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
