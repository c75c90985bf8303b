"""What ``make run`` does last: the sample goes into an empty database, unless somebody begins without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT
from tests.e2e.conftest import GRANIAN, UVICORN, System


def welcomed(system: System, folder: Path, **environment: str) -> str:
    """Return what the last process of ``make run`` says, once everything is ready."""
    command = [sys.executable, "-m", "gateway.development.welcome"]
    env = {**system.env, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if line.startswith("Try:"):
                    break
        finally:
            process.send_signal(signal.SIGTERM)
    return said


def ids(system: System) -> list[str]:
    return [customer["CUST_ID"] for customer in system.customers()]


def test_the_sample_is_loaded_into_an_empty_database_unless_it_is_not_wanted(system: System, tmp_path: Path) -> None:
    system.start_model(UVICORN)
    system.start_gateway(GRANIAN)
    system.start_worker()
    said = welcomed(system, tmp_path, SAMPLE="no")
    assert "Data:  no customers" in said
    assert ids(system) == []
    said = welcomed(system, tmp_path)
    assert system.http.get(f"{system.base}/api/v1/segments", timeout=10).json()["customers"] == 6_000
    assert "Data:  with the sample, S00001 to S06000; a database without any: make run SAMPLE=no" in said
    (address,) = [line.split()[1] for line in said.splitlines() if line.startswith("Open:")]
    once = {"once": address.removeprefix(f"{system.base}/sign-in/once#")}
    signed_in = requests.post(f"{system.base}/sign-in", data=once, allow_redirects=False, timeout=10)
    assert (signed_in.status_code, signed_in.headers["Location"]) == (303, "/overview")
    (removal,) = [line for line in said.splitlines() if "-X DELETE" in line]
    assert f"{system.base}/api/v1/sample" in removal
    stored = ids(system)
    assert (len(stored), stored[0], stored[-1]) == (6_000, "S00001", "S06000")
    assert "with the sample" in welcomed(system, tmp_path, SAMPLE="no"), "it is still there"
    assert system.http.delete(f"{system.base}/api/v1/customers/S00001", timeout=10).status_code == 204
    removed = system.http.delete(f"{system.base}/api/v1/sample", timeout=60)
    assert (removed.status_code, removed.json()) == (200, {"deleted": 5_999, "remaining": 0, "changed": 0})
    assert ids(system) == []


@pytest.mark.parametrize(("arguments", "told"), [([], "yes"), (["SAMPLE=no"], "no")])
def test_make_run_passes_the_wish_on(arguments: list[str], told: str) -> None:
    command = ["make", "--dry-run", "run", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert f'SAMPLE="{told}" exec python -m gateway.development' in done.stdout


def test_another_wish_ends_at_once() -> None:
    env = {**os.environ, "SAMPLE": "maybe"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.development"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "'maybe' is not a valid boolean" in done.stderr
