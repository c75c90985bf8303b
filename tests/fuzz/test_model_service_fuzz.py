"""Whatever is sent to tier 2, it answers as its OpenAPI document says."""

from __future__ import annotations

from pathlib import Path

from shared.secret_rules import MODEL_SERVICE_SECRET_IN_DEVELOPMENT
from tests.fuzz.fuzzing import LEAST_CASES, fuzz

SLOW = ["/v1/plots/{file}"]
"""Each of several hundred cases draws a picture."""


def test_no_case_finds_a_fault(model_service: str, tmp_path: Path) -> None:
    document = f"{model_service}/openapi.json"
    findings = fuzz(document, MODEL_SERVICE_SECRET_IN_DEVELOPMENT, "model_service.toml", tmp_path, SLOW)
    assert findings.clean, findings.text
    assert findings.cases >= LEAST_CASES
