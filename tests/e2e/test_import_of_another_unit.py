"""A file whose unit has changed is loud before it is stored: a dry run of it through the running system."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from tests.conftest import REAL_CSV, SAMPLE_CSV
from tests.e2e.conftest import UVICORN, System

FILE = REAL_CSV if REAL_CSV.exists() else SAMPLE_CSV


def ten_times(file: Path, column: str) -> str:
    """Return a CSV file with a column ten times as large, as if in another currency."""
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    for row in rows:
        row[column] = str(float(row[column]) * 10) if row[column] else ""
    changed = io.StringIO()
    writer = csv.DictWriter(changed, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return changed.getvalue()


def sent(system: System, content: str, query: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "text/csv"}
    answer = system.http.post(f"{system.base}/api/v1/imports{query}", data=content, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    return answer.json()


def count(receipt: dict[str, Any], code: str) -> int:
    return sum(warning["count"] for warning in receipt["warnings"] if warning["code"] == code)


def test_a_changed_unit_is_loud_in_a_dry_run(system: System) -> None:
    system.start_model(UVICORN)
    system.start_gateway()
    first = sent(system, FILE.read_text())
    assert first["drift"]["verdict"] in ("stable", "watch")
    assert first["drift"]["rows"] == first["created"]
    assert first["segment_changes"] == {"count": 0, "unknown": 0, "moves": []}
    usual = count(first, "outside_training_range")

    changed = ten_times(FILE, "CREDIT_LIMIT")
    would = sent(system, changed, "?dry_run=true")
    assert would["updated"] >= first["created"] - 10  # who has no limit is unchanged
    limits = {
        column["column"]: column["count"]
        for warning in would["warnings"]
        if warning["code"] == "outside_training_range"
        for column in warning["columns"]
    }
    assert limits["CREDIT_LIMIT"] > first["created"] / 4
    assert count(would, "outside_training_range") > 5 * usual
    assert would["drift"]["verdict"] == "retrain"
    assert would["drift"]["features"][0]["feature"] == "CREDIT_LIMIT"
    assert would["drift"]["features"][0]["tier"] == "severe"
    changes = would["segment_changes"]
    assert changes["count"] > first["created"] / 20
    assert sum(move["count"] for move in changes["moves"]) == changes["count"]

    does = sent(system, changed)
    assert (does["segment_changes"], does["drift"]["verdict"]) == (changes, "retrain")

    system.kill("model")
    away = sent(system, FILE.read_text(), "?dry_run=true")
    assert (away["status"], away["updated"], away["drift"]) == ("completed", would["updated"], None)
    assert away["segment_changes"] == {"count": 0, "unknown": would["updated"], "moves": []}
    assert count(away, "training_range_unknown") == 1
    assert "model service" in away["drift_unavailable"]
