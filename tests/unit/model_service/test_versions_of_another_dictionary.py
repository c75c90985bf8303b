"""The data dictionary has one entry more or one less than when a version was trained: in processes that have it so.

What the versions of before can still do, and what a training makes of it;
`tests/unit/gateway/test_customers_of_another_dictionary.py` is the same for the gateway.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from model_customers import Tiny

from tests.conftest import ROOT

BEFORE = """
import sys, json
sys.path.insert(0, {here!r})
from pathlib import Path
from asgi_client import AsgiClient
import pandas
from model_service.app import create_app
from model_service.settings import Settings
from model_service.store.registry import ModelStore
from model_service.training import calibration, selection
from model_service.training.dataset import read_customers
from model_service.training.parallel import NoProgress
from model_service.training.trainer import Options, train_version
from shared.features import DISTANCE_NAMES, INPUT_NAMES
from support.one_more_feature import NAME
calibration.REFITS = calibration.HELD_OUT = selection.SPLITS = 3
store = ModelStore(Path({store!r}))
old = store.versions()[0]
lines = [json.loads(line) for line in {lines!r}]

def retrained(table):
    table.to_csv(Path({store!r}) / "new.csv", index=False)
    manifest = train_version(store, read_customers(Path({store!r}) / "new.csv"), Options(ks=(3,)), NoProgress())
    store.activate(manifest["version"], "new", force=True)
    return manifest

with AsgiClient(create_app(Settings(model_store=store.directory))) as client:
    ready = client.get("/health/ready").json()
    assert ready["model_version"] == old
    now = [client.post("/v1/predict?explain=true", line).json() for line in lines]
"""

ADDED = """
    assert NAME not in ready["required"] and ready["removed"] == []
    # With the column or without, by the old version: the same as ever.
    assert [[p["segment"], p["distance"], p["confidence"]] for p in now] == {before!r}
    for part in (3, None):
        alike = [client.post("/v1/predict?explain=true", line | {{NAME: part}}).json() for line in lines]
        assert [p["explanation"].pop("sentence") for p in alike] == [p["explanation"]["sentence"] for p in now]
        assert [p | {{"explanation": 0}} for p in alike] == [p | {{"explanation": 0}} for p in now]
    contribution = next(c for c in now[0]["explanation"]["contributions"] if c["feature"] == NAME)
    assert (contribution["contribution"], contribution["left_out"]) == (0, True)
    assert not any(NAME in p["imputed"] for p in now)
    records = client.post("/v1/predict/batch", {{"customers": lines}}).json()["predictions"]
    assert [p["segment"] for p in records] == [p["segment"] for p in now]
    columns = {{name: [line[name] for line in lines] for name in lines[0]}}
    for block in (columns, columns | {{NAME: [None] * len(lines)}}):
        scored = client.post("/v1/predict/batch", {{"columns": block}}).json()
        assert [scored["segments"][c] for c in scored["cluster"]] == [p["segment"] for p in now]
    drift = client.request("POST", f"/v1/models/{{old}}/drift", json.dumps({{"columns": columns}}).encode(),
                           {{"content-type": "application/x-ndjson"}}).json()
    assert drift["rows"] == len(lines), drift
    assert NAME not in client.get("/v1/models/active").json()["required"]

    # A new version has the column in its distance, keeps the segments, and needs it.
    table = pandas.read_csv({csv!r})
    table[NAME] = [0, 1, 2, 3, 4, 5] * 30
    manifest = retrained(table)
    assert manifest["features"] == list(DISTANCE_NAMES)
    assert [s["match"]["status"] for s in manifest["segments"]] == ["kept"] * 3
    client.app.state.model.refresh()
    assert NAME in client.get("/health/ready").json()["required"]
    assert client.post("/v1/predict", lines[0]).json()["errors"] == [{{"pointer": "/" + NAME, "detail": "is missing"}}]
    assert client.post("/v1/predict", lines[0] | {{NAME: 2}}).json()["model_version"] == manifest["version"]
    assert client.post(f"/v1/predict?version={{old}}", lines[0]).status == 200, "the old one does not need it"
    gate = client.get(f"/v1/models/{{old}}/gate").json()["checks"]
    assert {{c["check"] for c in gate if not c["passed"]}} <= {{"stability"}}, gate
    assert client.post("/v1/models/rollback", {{}}).json()["version"] == old
    assert client.post("/v1/predict", lines[0]).status == 200
"""

REMOVED = """
    assert ready["removed"] == [{name!r}] and {name!r} not in ready["required"]
    assert all(p["imputed"].count({name!r}) == 1 for p in now)
    contributions = now[0]["explanation"]["contributions"]
    assert abs(sum(c["contribution"] for c in contributions) - now[0]["explanation"]["gap"]) < 1e-9
    assert [c["value"] for c in contributions if c["feature"] == {name!r}] == [None]
    gap = (now[0]["distance"] + now[0]["margin"]) ** 2 - now[0]["distance"] ** 2
    assert abs(gap - now[0]["explanation"]["gap"]) < 1e-3
    batch = client.post("/v1/predict/batch?explain=true", {{"customers": lines}}).json()["predictions"]
    assert [p["distance"] for p in batch] == [p["distance"] for p in now]
    assert client.post("/v1/predict", lines[0] | {{{name!r}: 1}}).status == 422, "it is no field any more"
    manifest = retrained(pandas.read_csv({csv!r}))
    assert {name!r} not in manifest["features"] and len(manifest["features"]) == 16
    assert [s["match"]["status"] for s in manifest["segments"]] == ["kept"] * 3
    client.app.state.model.refresh()
    assert client.get("/health/ready").json()["removed"] == []
    assert client.post("/v1/models/rollback", {{}}).json()["version"] == old
"""


def run(script: str, *without: str) -> None:
    command = [sys.executable, "-m", "support.one_more_feature", script, *without]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def customers(tiny: Tiny) -> list[dict]:
    return [tiny.customer(row) for row in range(0, 180, 12)]


def begin(store, tiny: Tiny, without: str = "") -> str:
    lines = [{k: v for k, v in customer.items() if k != without} for customer in customers(tiny)]
    here = str(Path(__file__).parent)
    return BEFORE.format(here=here, store=str(store.directory), lines=[json.dumps(line) for line in lines])


def test_one_entry_more(client, store, tiny):
    found = [client.post("/v1/predict", customer).json() for customer in customers(tiny)]
    before = [[p["segment"], p["distance"], p["confidence"]] for p in found]
    run(begin(store, tiny) + ADDED.format(before=before, csv=str(tiny.csv)))


@pytest.mark.parametrize("name", ["TENURE", "MINIMUM_PAYMENTS"])
def test_one_entry_less(store, tiny, name):
    run(begin(store, tiny, name) + REMOVED.format(name=name, csv=str(tiny.csv)), name)
