"""Whatever is sent to the gateway, it answers as its OpenAPI document says."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.conftest import Gateway
from tests.fuzz.fuzzing import LEAST_CASES, fuzz

HOOKS = "tests.fuzz.gateway_requests"
SHORT_PHASES = "examples,fuzzing,stateful"  # the edges of every parameter are 7,000 cases: for `make fuzz`


def test_no_case_finds_a_fault(gateway: Gateway, tmp_path: Path) -> None:
    document = f"{gateway.address}/openapi.json"
    findings = fuzz(document, gateway.key, "gateway.toml", tmp_path, hooks=HOOKS, phases=SHORT_PHASES)
    assert findings.clean, findings.text
    assert findings.cases >= LEAST_CASES
