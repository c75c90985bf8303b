"""The layers, the size of functions and modules, and that the documents name every setting."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("gateway", "model_service", "shared")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "types", "logging"}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def function_lengths() -> dict[str, int]:
    lengths = {}
    for module in modules():
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                place = f"{module.relative_to(ROOT)}:{node.lineno} {node.name}"
                lengths[place] = _length(node)
    return lengths


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring: explaining a method must not count against it."""
    first = node.body[0]
    docstring = 0
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        docstring = (first.end_lineno or first.lineno) - first.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def test_layers() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_functions_are_short() -> None:
    lengths = function_lengths()
    assert statistics.median(lengths.values()) <= 8
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= 20
    assert {place: n for place, n in lengths.items() if n > 40} == {}


def test_modules_are_named_for_what_they_hold() -> None:
    assert {m.stem for m in modules()} & FORBIDDEN_NAMES == set()


def gateway_variables() -> set[str]:
    from gateway.settings import Settings, variable

    return {variable(name) for name in Settings.model_fields}


def model_variables() -> set[str]:
    from model_service.settings import Settings

    return {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("document", ["README.md", ".env.example"])
def test_documents_name_every_setting_and_no_other(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    variables = gateway_variables() | model_variables()
    assert len(variables) > 15
    assert {name for name in variables if not re.search(rf"\b{name}\b", text)} == set()
    if document == ".env.example":
        named = set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE))
        files = {f"{variable}_FILE" for variable in variables}
        assert named - files == variables - files


def test_no_two_test_modules_share_a_name() -> None:
    """They lie in folders without packages, where the second of two would not be collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
