"""Whatever is sent to the gateway, it answers as its OpenAPI document says."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.conftest import Gateway
from tests.fuzz.fuzzing import LEAST_CASES, fuzz


def test_no_case_finds_a_fault(gateway: Gateway, tmp_path: Path) -> None:
    findings = fuzz(f"{gateway.address}/openapi.json", gateway.key, "gateway.toml", tmp_path)
    assert findings.clean, findings.text
    assert findings.cases >= LEAST_CASES
