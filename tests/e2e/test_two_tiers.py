"""The product's main job, and what must survive when a process dies or hangs in the middle of it."""

from __future__ import annotations

import csv
import json
import signal
import threading
from pathlib import Path

import pytest

from shared.features import INPUTS
from tests.e2e.conftest import GRANIAN, UVICORN, System, wait_until


@pytest.fixture(scope="module")
def rows(sample_csv: Path) -> list[dict]:
    with sample_csv.open() as file:
        return [
            {"CUST_ID": row["CUST_ID"], **{f.name: float(row[f.name]) if row[f.name] else None for f in INPUTS}}
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize("servers", ["gunicorn", "our defaults"])
def test_from_csv_to_a_segment(system: System, sample_csv: Path, rows: list[dict], servers: str) -> None:
    if servers == "gunicorn":
        system.start_model()
        system.start_gateway()
    else:
        system.start_model(UVICORN)
        system.start_gateway(GRANIAN)

    first = system.run("gateway", "import", str(sample_csv), "--json")
    assert json.loads(first.stdout)["created"] == len(rows), first.stderr
    again = system.run("gateway", "import", str(sample_csv), "--json")
    assert json.loads(again.stdout)["unchanged"] == len(rows)

    stored = list(system.customers())
    assert [c["CUST_ID"] for c in stored] == sorted(row["CUST_ID"] for row in rows)
    assert {c["segment_status"] for c in stored} == {"assigned"}

    system.start_worker()
    segments = system.counted(len(rows))
    assert sum(segment["size"] for segment in segments["items"]) == len(rows)
    assert len({segment["name"] for segment in segments["items"]}) == 6

    headers = {"X-Request-ID": "crm-4711"}
    answer = system.http.post(f"{system.base}/api/v1/predictions", json=rows[0], headers=headers, timeout=10)
    own = next(c for c in stored if c["CUST_ID"] == rows[0]["CUST_ID"])
    assert answer.json()["segment"]["id"] == own["segment"]["id"]
    assert answer.headers["X-Request-ID"] == "crm-4711"
    for tier in ("gateway", "model"):  # written after the answer, so later than the client has it
        wait_until(lambda tier=tier: "crm-4711" in system.log(tier), f"the request id in the log of {tier}")
    if servers == "gunicorn":
        system.terminate("gateway")
        assert "Worker exiting" in system.log("gateway")
        assert "Logging error" not in system.log("gateway")


def test_the_real_customers_are_all_stored_with_a_segment(system: System, real_csv: Path) -> None:
    system.start_model()
    system.start_gateway()
    first = json.loads(system.run("gateway", "import", str(real_csv), "--json").stdout)
    assert (first["created"], first["pending"], first["rejected"]) == (8950, 0, 0)
    again = json.loads(system.run("gateway", "import", str(real_csv), "--json").stdout)
    assert (again["unchanged"], again["rows"]) == (8950, 8950)
    assert {customer["segment_status"] for customer in system.customers()} == {"assigned"}


def test_a_killed_or_hung_model_service_loses_no_customer_and_holds_up_nobody(system: System, rows: list[dict]) -> None:
    system.start_model()
    system.start_gateway()
    statuses = []
    for number, row in enumerate(rows[:250]):
        if number == 100:
            system.kill("model")
        if number == 200:
            system.start_model()
        statuses.append(system.create(row).status_code)
    assert statuses == [201] * 250
    stored = {c["CUST_ID"]: c for c in system.customers()}
    assert set(stored) == {row["CUST_ID"] for row in rows[:250]}
    assert system.pending() >= 100 - 1
    _hangs(system, rows[250])
    system.start_worker()
    wait_until(lambda: system.pending() == 0, "every customer assigned")
    _hangs_with_sizes(system, rows[250], 251)


def _hangs(system: System, row: dict) -> None:
    """Let the model service hang: a customer is stored all the same, and a prediction is refused in time."""
    system.signal("model", signal.SIGSTOP)
    answer = system.create(row)
    assert answer.status_code == 201
    assert answer.json()["segment"] is None
    assert answer.json()["segment_status"] == "pending"
    refused = system.http.post(f"{system.base}/api/v1/predictions", json=row, timeout=10)
    assert refused.status_code == 504
    assert refused.json()["code"] == "model_timeout"
    system.signal("model", signal.SIGCONT)


def _hangs_with_sizes(system: System, row: dict, customers: int) -> None:
    """Let it hang once it has described the segments: sizes and names stay."""
    known = system.counted(customers)
    system.signal("model", signal.SIGSTOP)
    away = system.http.get(f"{system.base}/api/v1/segments", timeout=10)
    assert away.status_code == 200
    assert [(s["name"], s["size"]) for s in away.json()["items"]] == [(s["name"], s["size"]) for s in known["items"]]
    named = system.http.get(f"{system.base}/api/v1/customers/{row['CUST_ID']}/segment", timeout=10).json()
    assert named["segment"]["name"] in {segment["name"] for segment in known["items"]}


def test_a_killed_worker_carries_on_where_it_was(system: System, sample_csv: Path, tmp_path: Path) -> None:
    some = tmp_path / "some.csv"
    some.write_text("".join(sample_csv.read_text().splitlines(keepends=True)[: 2_000 + 1]))
    system.start_gateway()
    assert json.loads(system.run("gateway", "import", str(some), "--json").stdout)["pending"] == 2_000
    system.start_model()
    while (before := system.pending()) > 0:
        system.start_worker()
        wait_until(lambda before=before: system.pending() < before, "the worker is in the middle of its work")
        system.kill("worker")
    stored = list(system.customers())
    assert len(stored) == 2_000
    assert {c["segment_status"] for c in stored} == {"assigned"}


def test_a_killed_gateway_keeps_what_it_acknowledged(system: System, rows: list[dict]) -> None:
    system.start_model()
    system.start_gateway()
    acknowledged: list[str] = []

    def write() -> None:
        for row in rows[:2000]:
            try:
                if system.create(row).status_code == 201:
                    acknowledged.append(row["CUST_ID"])
            except OSError:  # requests' exceptions are OSErrors: the gateway is gone
                return

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(acknowledged) > 100, "a hundred customers written")
    system.kill("gateway")
    writer.join()
    system.start_gateway()
    stored = {c["CUST_ID"]: c for c in system.customers()}
    assert set(acknowledged) <= set(stored)
    assert all(len(c) == len(next(iter(stored.values()))) for c in stored.values()), "no half-written customer"


def test_a_killed_import_is_finished_by_running_it_again(system: System, sample_csv: Path, rows: list[dict]) -> None:
    system.start_model()
    system.start_gateway()
    system.start("import", ["python", "-m", "gateway", "import", str(sample_csv)])
    wait_until(lambda: next(system.customers(), None) is not None, "the first batch stored")
    system.kill("import")
    receipt = json.loads(system.run("gateway", "import", str(sample_csv), "--json").stdout)
    assert receipt["created"] + receipt["unchanged"] == len(rows)
    assert receipt["unchanged"] >= 1
    assert len(list(system.customers())) == len(rows)
