"""The layers, import circles, the size of functions, modules and folders, and that the documents name every setting."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from graphlib import TopologicalSorter
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PACKAGES = ("gateway", "model_service", "shared")
RENAMED = re.compile(
    r"\b(strangers?|patience|galler(y|ies)|rehears\w*|office|Asked|Slots|Catalogue|ImportOrder|BadRow"
    r"|BatchesUnderWay|BEAT_SECONDS|SILENT_SECONDS|give_up_silent|LIMBO|VANISHED)\b"
)
"""Words that were only ours; the commit messages of November 2026 say what they are called now."""
FORBIDDEN_NAMES = {"utils", "helpers", "common", "types", "logging"}
ROOMS = {"customers", "imports", "predictions", "segments", "models", "api_keys", "audit", "service"}
"""What every layer of the gateway has a module for, however little that layer does for it."""


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


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # a CycleError names the circle


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_has_so_many_modules_as_one_takes_in(package: str) -> None:
    loose = Counter(path.parent for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py")
    assert {str(folder.relative_to(ROOT)): n for folder, n in loose.items() if n > 14} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_of_few_lines_says_why_it_is_one(package: str) -> None:
    """The first paragraph of its docstring has a "because"."""
    reasonless = {}
    for module in sorted((ROOT / package).rglob("*.py")):
        text = module.read_text(encoding="utf-8")
        is_room = package == "gateway" and module.stem in ROOMS
        if module.name == "__init__.py" or is_room or text.count("\n") >= 40:
            continue
        summary = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0]
        if not re.search(r"\bbecause\b", summary):
            reasonless[str(module.relative_to(ROOT))] = summary
    assert reasonless == {}


@pytest.mark.parametrize("folder", [*PACKAGES, "docs"])
def test_words_are_those_of_the_field(folder: str) -> None:
    texts = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]
    assert texts
    found = {
        f"{text.relative_to(ROOT)}: {hit[0]}" for text in texts for hit in RENAMED.finditer(text.read_text("utf-8"))
    }
    assert not found


def test_modules_are_named_for_what_they_hold() -> None:
    assert {m.stem for m in modules()} & FORBIDDEN_NAMES == set()


def gateway_variables() -> set[str]:
    from gateway.settings import Settings, variable

    return {variable(name) for name in Settings.model_fields}


def model_variables() -> set[str]:
    from model_service.settings import Settings

    return {name.upper() for name in Settings.model_fields}


def proxy_variables() -> set[str]:
    """Return the proxy's settings that compose takes from the environment."""
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    return set(re.findall(r"(?:\$\{|^ +)((?:PROXY|PROMETHEUS|GRAFANA)_[A-Z_]+):(?:-|$)", compose, re.MULTILINE))


@pytest.mark.parametrize("document", ["docs/operations.md", ".env.example"])
def test_documents_name_every_setting_and_no_other(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    variables = gateway_variables() | model_variables() | proxy_variables()
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


@pytest.mark.parametrize(("tier", "extra"), [("gateway", "gateway"), ("model_service", "model")])
def test_what_a_tier_imports_is_installed_with_it(tier: str, extra: str) -> None:
    """Each image installs its own extra alone, while whoever runs the tests has both: also of what is shared."""
    graph = grimp.build_graph(
        *PACKAGES, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    imported = {name.partition(".")[0] for name in graph.find_upstream_modules(tier, as_package=True)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    installed = _with_what_they_need([*project["dependencies"], *extras[extra], *extras["traces"]])
    come_from = packages_distributions()
    missing = {
        name
        for name in imported - set(sys.stdlib_module_names) - set(PACKAGES)
        if not installed & {canonicalize_name(each) for each in come_from.get(name, [name])}
    }
    assert missing == set()


def _with_what_they_need(requirements: list[str]) -> set[str]:
    """Return the distributions that pip installs for these requirements, by their canonical names."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        one = waiting.pop()
        key = (str(canonicalize_name(one.name)), frozenset(one.extras))
        if key in found:
            continue
        found.add(key)
        with suppress(PackageNotFoundError):
            further = map(Requirement, requires(one.name) or [])
            extras = one.extras or {""}
            waiting += [r for r in further if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)]
    return {name for name, _ in found}
