"""A model's life over the gateway: from the stored base to a new version, in force and back, and what dies midway."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import psutil
import pytest
import requests
from support.servers import Mongod, free_port

from model_service.store.artefact import MODEL_FILE
from model_service.store.registry import ModelStore
from model_service.store.signatures import Signer
from model_service.training.fitted import save
from tests.e2e.conftest import GRANIAN, SIGNING_KEY, UVICORN, System, own_system, wait_until

STORED = 2_000


@pytest.fixture(scope="module")
def loaded(
    tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, sample_models: Path, sample_csv: Path
) -> Iterator[System]:
    """The running system with some of the sample, for all tests of this module; whatever each does, it runs on."""
    some = tmp_path_factory.mktemp("some") / "some.csv"
    some.write_text("".join(sample_csv.read_text().splitlines(keepends=True)[: STORED + 1]))
    with own_system(tmp_path_factory.mktemp("life"), mongod, sample_models) as system:
        system.start_model(UVICORN)
        system.start_gateway(GRANIAN)
        assert system.run("gateway", "import", str(some)).returncode == 0
        system.start_worker()
        yield system


def call(system: System, method: str, path: str, **rest: Any) -> requests.Response:
    return system.http.request(method, f"{system.base}/api/v1{path}", timeout=120, **rest)


def train(system: System, **query: object) -> dict:
    """Train on the stored customers; return the record of the ended training."""
    accepted = call(system, "POST", "/models", params=query)
    assert accepted.status_code == 202, accepted.text
    address = system.base + accepted.headers["Location"]
    record: dict = {}

    def ended() -> bool:
        record.update(system.http.get(address, timeout=10).json())
        return record["status"] not in ("queued", "running")

    wait_until(ended, "the training has ended", 300)
    return record


def another_version(system: System) -> str:
    """Store the active model once more, as a training with the same outcome would, and return the new version."""
    store = ModelStore(Path(system.env["MODEL_STORE"]), Signer(SIGNING_KEY))
    version = call(system, "GET", "/models/active").json()["version"]
    return save(store, joblib.load(store.path(version) / MODEL_FILE), store.manifest(version))


def assigned_by(system: System, version: str) -> int:
    """Return how many customers were assigned by the version."""
    query = {"model_version": version, "count": "exact", "limit": "1"}
    return int(call(system, "GET", "/customers", params=query).json()["total"])


def test_a_worker_killed_while_it_reassigns_harms_nothing(loaded: System) -> None:
    old = call(loaded, "GET", "/models/active").json()["version"]
    version = another_version(loaded)
    loaded.kill("worker")
    assert call(loaded, "POST", f"/models/{version}/activate", json={}).status_code == 200
    for _ in range(4):  # each one gets a little further, or nowhere
        loaded.start_worker()
        wait_until(lambda: assigned_by(loaded, old) < STORED, "the worker has begun", 60)
        loaded.kill("worker")
        # Not by version: what the worker sent last, MongoDB may still be writing.
        assert call(loaded, "GET", "/customers", params={"count": "exact", "limit": "1"}).json()["total"] == STORED
    loaded.start_worker()
    wait_until(lambda: assigned_by(loaded, version) == STORED, "the next worker has finished", 60)


def test_a_killed_training_is_reported_and_the_next_one_begins(loaded: System) -> None:
    active = call(loaded, "GET", "/models/active").json()["version"]
    accepted = call(loaded, "POST", "/models", params={"k_min": 3, "k_max": 8})
    address = loaded.base + accepted.headers["Location"]
    wait_until(lambda: loaded.http.get(address, timeout=10).json()["progress"]["done"] > 0, "the training works", 60)
    refused = call(loaded, "POST", "/models")
    assert (refused.status_code, refused.json()["code"]) == (409, "training_running")
    # The service first: its restart must tell the truth about a training that it did not see dying.
    loaded.kill("model")
    for process in training_processes(loaded):
        os.kill(process.pid, signal.SIGKILL)
    loaded.start_model(UVICORN)
    record = loaded.http.get(address, timeout=10).json()
    assert (record["status"], record["version"]) == ("failed", None), record
    assert record["reason"]
    assert call(loaded, "GET", "/models/active").json()["version"] == active
    next_one = call(loaded, "POST", "/models", params={"k": 3})
    assert next_one.status_code == 202, next_one.text
    address = loaded.base + next_one.headers["Location"]
    assert loaded.http.post(f"{address}/cancel", timeout=10).status_code == 202
    wait_until(lambda: loaded.http.get(address, timeout=10).json()["status"] == "cancelled", "it is cancelled", 60)


def training_processes(system: System) -> list[psutil.Process]:
    store = system.env["MODEL_STORE"]
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "model_service.training_jobs.run" in (line := " ".join(process.info["cmdline"] or ())) and store in line
    ]


def test_two_model_services_follow_one_store(loaded: System) -> None:
    version = another_version(loaded)
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(loaded.env, "MODEL_PORT", str(port))
        loaded.start("replica", UVICORN)
    replica = f"http://127.0.0.1:{port}/health/ready"

    def serves(expected: str) -> bool:
        try:
            return loaded.http.get(replica, timeout=2).json().get("model_version") == expected
        except requests.ConnectionError:
            return False

    wait_until(lambda: not serves(version) and serves(call(loaded, "GET", "/models").json()["active"]), "the replica")
    assert call(loaded, "POST", f"/models/{version}/activate", json={}).status_code == 200
    wait_until(lambda: serves(version), "the replica follows")
    loaded.kill("replica")


def test_train_on_the_stored_base_see_who_moves_activate_and_roll_back(loaded: System) -> None:
    before = loaded.counted(STORED)
    record = train(loaded, k=6, seed=7, note="quarterly")
    assert (record["status"], record["activated"], record["note"]) == ("completed", False, "quarterly"), record
    version = record["version"]

    gate = call(loaded, "GET", f"/models/{version}/gate").json()
    assert gate["passed"], gate
    preview = call(loaded, "GET", f"/models/{version}/preview").json()
    assert (preview["rows"], preview["moved"]["share"] < 0.02) == (STORED, True)
    assert sum(map(sum, preview["transitions"])) == STORED
    drift = call(loaded, "GET", f"/models/{version}/drift").json()
    assert (drift["verdict"], drift["rows"]) == ("stable", STORED)

    done = call(loaded, "POST", f"/models/{version}/activate", json={"reason": "tried it", "by": "ann"})
    assert done.status_code == 200, done.text
    wait_until(lambda: assigned_by(loaded, version) == STORED, "everybody assigned by the new version", 60)
    after = loaded.counted(STORED)
    assert {(s["id"], s["name"]) for s in after["items"]} == {(s["id"], s["name"]) for s in before["items"]}

    back = call(loaded, "POST", "/models/rollback", json={"reason": "second thoughts", "by": "ben"})
    assert (back.status_code, back.json()["version"]) == (200, before["model_version"])
    wait_until(lambda: assigned_by(loaded, before["model_version"]) == STORED, "everybody back", 60)
    history = call(loaded, "GET", "/activations").json()["items"]
    assert [(a["kind"], a["by"]) for a in history[:2]] == [("rollback", "ben"), ("activate", "ann")]

    report = call(loaded, "GET", f"/models/{version}/report")
    assert report.headers["Content-Type"].startswith("text/html")
    assert version in report.text
    assert f"{STORED:,} stored customers, " in report.text
    assert "quarterly" in report.text
    assert "upload.csv" not in report.text
