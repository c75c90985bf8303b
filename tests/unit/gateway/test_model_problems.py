"""Which of the model service's refusals reach a client."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.data_access.model_service.answers import fault_of
from gateway.services.errors import ModelAccessDenied, ModelMalformed, ModelUnavailable, RegistryRefusal
from shared.model_contract import REFUSALS
from shared.problems import FieldError, problem
from tests.conftest import ROOT

ERRORS = [FieldError(pointer="/checks/stability", detail="too low")]


def _text(status: int, code: str, **changes: Any) -> bytes:
    return json.dumps({**problem(status, code, "because", "id", ERRORS), **changes}).encode()


@pytest.mark.parametrize(("code", "status"), REFUSALS.items())
def test_a_known_refusal_is_passed_on(code: str, status: int) -> None:
    fault = fault_of(status, _text(status, code))
    assert isinstance(fault, RegistryRefusal)
    assert (fault.status, fault.code, str(fault), fault.errors) == (status, code, "because", ERRORS)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, b""),
        (404, b"not found"),
        (404, b"[]"),
        (404, b'{"code": "version_not_found"}'),
        (404, _text(404, "not_found")),
        (404, _text(404, "something_new")),
        (409, _text(404, "version_not_found")),
        (500, _text(500, "version_not_found")),
        (404, _text(404, "version_not_found", detail=1)),
        (404, _text(404, "version_not_found", errors="x")),
        (404, _text(404, "version_not_found", errors=[{"pointer": "/x"}])),
        (404, _text(404, "version_not_found") + b"}"),
        (405, _text(405, "method_not_allowed")),
        (200, _text(404, "version_not_found")),
        (302, b""),
        (500, _text(500, "registry_error")),
        (500, _text(500, "internal_error")),
    ],
)
def test_anything_else_is_a_fault_of_the_model_service(status: int, text: bytes) -> None:
    assert type(fault_of(status, text)) is ModelMalformed


def test_a_secret_that_differs_is_a_matter_of_the_settings(caplog: pytest.LogCaptureFixture) -> None:
    assert type(fault_of(401, _text(401, "unauthenticated"))) is ModelAccessDenied
    assert "MODEL_SERVICE_SECRET" in caplog.text


@pytest.mark.parametrize("text", [_text(503, "model_not_loaded"), b"", b"<html>"])
def test_without_a_model_it_is_unavailable(text: bytes) -> None:
    assert type(fault_of(503, text)) is ModelUnavailable


def _refusals_in_the_source() -> Iterator[tuple[str, int]]:
    """(code, status) of every ``ApiError(status, "code", …)`` and of the table of statuses in tier 2."""
    for module in (ROOT / "model_service").rglob("*.py"):
        if "open_inference" in module.parts:  # not called by the gateway
            continue
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            values = node.args[:2] if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
            pair = [v.value for v in values if isinstance(v, ast.Constant)]
            if len(values) == len(pair) == 2 and type(pair[0]) is int and 400 <= pair[0] < 600:
                status, code = pair
                if isinstance(code, str) and code.replace("_", "").islower():
                    yield code, status


def test_the_list_knows_every_refusal_that_the_model_service_can_make() -> None:
    """The tiers never import each other; this keeps their two lists of codes together."""
    said = dict(_refusals_in_the_source())
    assert len(said) > 15
    faults = {"model_not_loaded", "registry_error", "internal_error", "drawing_failed", "unauthenticated"}
    assert {code: status for code, status in said.items() if code not in faults}.items() <= REFUSALS.items()
