"""The data dictionary has one entry more or one less than when customers were stored, in a process that has it so.

`tests/unit/model_service/test_versions_of_another_dictionary.py` is the same for the model service.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

BEFORE = """
from fakes.gateway import CUSTOMERS, FakeGateway
from shared.features import INPUT_NAMES, REQUIRED_NAMES
from support.customers import body, inputs, stored
from support.one_more_feature import NAME
from contracts.customers import assignment
gateway = FakeGateway()
client, store, model = gateway.client, gateway.store, gateway.model
ONE = CUSTOMERS + "/A"
worker = gateway.services.assignments.reconciler
"""

ADDED = """
for name, of in (("A", assignment()), ("B", assignment(version="v0")), ("C", None)):
    store.insert(stored(name, of, **{NAME: 1}))
    del store.customers[name][NAME]
assert client.get(ONE).status_code == 200
assert client.delete(ONE).status_code == 204
assert client.post(ONE + "/restore").status_code == 200
assert NAME not in client.get(ONE).json
# No model that needs the column is asked for them, however often the worker looks.
model.required = REQUIRED_NAMES
model.calls.clear()
assert [worker.run_once() for _ in range(5)] == [0] * 5
assert {call for call, _ in model.calls} == {"version"}
assert NAME in client.get("/health/ready").json["features"]
waiting = client.get(f"{CUSTOMERS}?{NAME}[exists]=false").json["items"]
assert [customer["CUST_ID"] for customer in waiting] == ["A", "B", "C"]
# The one of before assigns them without it.
model.required, model.current = tuple(name for name in REQUIRED_NAMES if name != NAME), "v2"
assert worker.run_once() == 3
assert client.get("/health/ready").json["features"] is None
# Once completed, they are like all others.
model.required, model.current = REQUIRED_NAMES, "v3"
for name in "ABC":
    changed = client.patch(f"{CUSTOMERS}/{name}", json={NAME: 4}).json
    assert (changed["segment_status"], changed[NAME]) == ("assigned", 4), changed
assert worker.run_once() == 0
"""

REMOVED = """
customer = stored("A", assignment(version="v0")) | {GONE: 7}
store.insert(customer)
assert client.get(ONE).status_code == 200
assert worker.run_once() == 1, "with what the dictionary has"
assert client.patch(ONE, json={GONE: 5}).status_code == 422
assert client.patch(ONE, json={"BALANCE": 5}).json["BALANCE"] == 5
assert GONE not in store.customers["A"], "a change leaves it behind"
store.insert(stored("B", assignment()) | {"CUST_ID": "B", GONE: 7})
assert client.delete(f"{CUSTOMERS}/B").status_code == 204
assert client.post(f"{CUSTOMERS}/B/restore").status_code == 200
assert client.post(CUSTOMERS, json=body("C")).status_code == 201
"""


def run(script: str, *without: str) -> None:
    command = [sys.executable, "-m", "support.one_more_feature", BEFORE + script, *without]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_one_entry_more() -> None:
    run(ADDED)


@pytest.mark.parametrize("name", ["TENURE", "MINIMUM_PAYMENTS"])
def test_one_entry_less(name: str) -> None:
    run(f"GONE = {name!r}\n" + REMOVED, name)
