"""The README is short, and what the documents link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONGEST_README = 200

_BLOCK = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
_MODULE = re.compile(r"`([\w.]+(?:/[\w.-]+)+\.(?:py|md|json|jinja))`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def prose(document: Path) -> str:
    return _BLOCK.sub("", document.read_text(encoding="utf-8"))


def links(document: Path) -> list[str]:
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", prose(document)))


def anchor(heading: str) -> str:
    """As GitHub makes it: lower case, without punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(document: Path) -> set[str]:
    return {anchor(heading) for heading in _HEADING.findall(prose(document))}


def broken(document: Path, link: str) -> bool:
    path, _, fragment = link.partition("#")
    target = document.parent / path if path else document
    return not target.exists() or (bool(fragment) and fragment not in anchors(target))


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST_README


def test_the_documents_are_there() -> None:
    names = {document.name for document in DOCUMENTS}
    assert {"architecture.md", "clustering-study.md", "operations.md", "benchmarks.md", "api-guide.md"} <= names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert [link for link in links(document) if broken(document, link)] == []


@pytest.mark.parametrize("document", DOCUMENTS[3:], ids=lambda document: document.name)
def test_modules_that_are_named_exist(document: Path) -> None:
    """By their whole path, or by that within a tier."""
    tiers = (ROOT, ROOT / "gateway", ROOT / "model_service")
    named = _MODULE.findall(prose(document))
    assert [name for name in named if not any((tier / name).exists() for tier in tiers)] == []


def test_every_document_is_linked_from_the_readme() -> None:
    linked = {(README.parent / link.partition("#")[0]).resolve() for link in links(README)}
    assert {document for document in DOCUMENTS if document != README and document.resolve() not in linked} == set()


def test_comments_cite_sections_of_the_clustering_study_that_exist() -> None:
    sections = set(re.findall(r"^## (\d+)\. ", prose(ROOT / "docs" / "clustering-study.md"), re.MULTILINE))
    cited: set[str] = set()
    for package in ("gateway", "model_service", "shared", "data", "tests"):
        for module in (ROOT / package).rglob("*.py"):
            cited |= set(re.findall(r"clustering-study\.md,\s+sections?\s+(\d+)", module.read_text(encoding="utf-8")))
    assert {"1", "9"} <= cited <= sections


@pytest.mark.parametrize("heading", ["7. Drift", "Health, logs and monitoring", "What fails, and what happens then"])
def test_anchors_are_those_of_github(heading: str) -> None:
    assert anchor(heading) in {"7-drift", "health-logs-and-monitoring", "what-fails-and-what-happens-then"}
