"""The files that training puts beside a version. Drawn once, from a manifest that wishes the report ill."""

from __future__ import annotations

import copy
import itertools
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from matplotlib import pyplot

from model_service.report import document
from model_service.report.document import write
from model_service.report.plots import PLOTS
from model_service.report.presentation import plain_name
from model_service.report.style import DPI, WIDTH
from model_service.report.subject import score_rows
from model_service.store.manifest import UTILISATION
from model_service.store.registry import ModelStore
from shared.features import DISTANCE_NAMES, FEATURES
from shared.typography import signed

HOSTILE = "<script>alert('1')</script> & \"both\" $x^{2}$ \u202e\x07 " + "endless" * 20
SAID = "For the <i>spring</i> campaign"
NOTE = "line 7: BALANCE must be <b>at least</b> 0"


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def parent(tiny):
    store = ModelStore(tiny.store)
    return store.manifest(store.versions()[0])


@pytest.fixture(scope="module")
def manifest(parent):
    """A child of the tiny model with a hostile name, a long choice of k and a retired segment."""
    child = copy.deepcopy(parent)
    child["version"], child["parent"] = "20260101T000000Z-0badf00d", parent["version"]
    child["segments"][0]["name"] = HOSTILE
    child["segments"][0]["actions"] = ["Offer <b>more</b>"]
    child["data"]["name"] = "<customers>.csv"
    child["retired"] = ["seg-77"]
    child["scores"] = [{**parent["scores"][0], "k": k} for k in (2, 3, 5)]
    child["evidence"]["elbow"] = {"k": 5, "detail": "the curve bends at k = 5"}
    child["evidence"]["remarks"] = ["Silhouette prefers <k> = 2"]
    return child


@pytest.fixture(scope="module")
def folder(tiny, manifest, parent, tmp_path_factory) -> Path:
    into = tmp_path_factory.mktemp("report")
    data = tiny.data
    noted = type(data)(frame=data.frame, source=data.source, notes=[NOTE], lines=data.lines)
    write(into, manifest, noted, parent, SAID)
    return into


@pytest.fixture(scope="module")
def page(folder) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_every_picture_is_there_twice_and_listed_in_order(folder):
    listed = orjson.loads((folder / "plots" / "index.json").read_bytes())
    assert listed == [{"name": p.name, "title": p.title, "caption": p.caption} for p in PLOTS]
    files = {p.name for p in (folder / "plots").iterdir()} - {"index.json", "figures.json"}
    assert files == {f"{p.name}.{kind}" for p in PLOTS for kind in ("svg", "png")}
    assert {p.name for p in folder.iterdir()} == {"plots", "report.html"}


@pytest.mark.parametrize("name", [p.name for p in PLOTS])
def test_vector_pictures_are_whole_and_load_nothing(folder, name):
    root = ElementTree.parse(folder / "plots" / f"{name}.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    elements = list(root.iter())
    assert len(elements) > 50
    assert not [e for e in elements if e.tag.endswith(("}script", "}text", "}foreignObject"))]
    addresses = [value for e in elements for key, value in e.attrib.items() if key.endswith("href")]
    assert all(a.startswith(("#", "data:image/png;base64,")) for a in addresses)


@pytest.mark.parametrize("name", [p.name for p in PLOTS])
def test_pixel_pictures_are_as_wide_as_a_page(folder, name):
    content = (folder / "plots" / f"{name}.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert width == WIDTH * DPI
    assert 150 < height < 3000


def test_the_page_holds_everything_it_shows(page, folder):
    assert not [tag for tag, _ in page.tags if tag in {"script", "link", "iframe", "object", "base", "form"}]
    sources = [image["src"] for image in page.all("img")]
    assert len(sources) == len(PLOTS)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.all("a")]
    assert len(links) > 10
    assert {link.removeprefix("#") for link in links} <= set(ids)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "://" not in re.sub(r"data:[^\"]*", "", text)
    assert len(text) < 3_000_000


def test_the_page_can_be_read_by_everybody(page):
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    assert len(page.all("figcaption")) == len(page.all("figure")) == len(PLOTS)
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert "@media print" in page.text


def test_the_page_says_what_an_auditor_asks(page, manifest):
    said = page.text
    source, evidence = manifest["data"], manifest["evidence"]
    expected = [
        manifest["version"],
        manifest["created_at"],
        source["name"],
        source["sha256"],
        manifest["model_digest"],
        manifest["model_sha256"],
        manifest["choice"],
        manifest["parent"],
        NOTE,
        "seg-77",
        evidence["elbow"]["detail"],
        *evidence["remarks"],
        *manifest["libraries"].values(),
        *(f.label for f in FEATURES),
        *DISTANCE_NAMES,
        plain_name(UTILISATION),
        SAID,
        f"{evidence['fidelity']:.1%}",
        f"{evidence['calibration_error']:.3f}",
        *document.GLOSSARY,
    ]
    assert [text for text in expected if text not in said] == []
    rows = [a["class"] for a in page.all("tr") if "class" in a]
    assert rows == ["chosen"]
    assert re.findall(r" (2|3 \(chosen\)|5) [\d,]+ 0\.\d{3} ", said) == ["2", "3 (chosen)", "5"]


def test_the_page_describes_every_segment(page, manifest):
    said = page.text
    for segment in manifest["segments"]:
        assert page.text.count(segment["id"]) > 3
        assert segment["derived_name"] in said
        assert [action for action in segment["actions"] if action not in said] == []
        for rule in manifest["evidence"]["segments"][segment["id"]]["rules"]:
            assert rule["sentence"] in said
        for number in segment["profile"].values():
            assert signed(number["z"], 2) in said
    assert "Kept from the parent" in said or "New in this version" in said


def test_nothing_in_the_data_becomes_markup(folder, page):
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(" in text
    assert "&lt;customers&gt;.csv" in text
    assert "&lt;b&gt;at least&lt;/b&gt;" in text
    assert page.all("script") == page.all("b") == page.all("i") == []
    assert "$x^{2}$" in page.text


def test_the_same_version_gives_the_same_bytes(tiny, manifest, parent, folder, tmp_path, monkeypatch):
    # Those with pixels, hatches, and sampled rows: where chance would show.
    some = [p for p in PLOTS if p.name in {"map", "shares", "silhouette"}]
    monkeypatch.setattr(document, "PLOTS", some)
    write(tmp_path, manifest, tiny.data, parent)
    files = sorted(p.name for p in (tmp_path / "plots").iterdir() if p.suffix != ".json")
    assert len(files) == 6
    for name in files:
        assert (tmp_path / "plots" / name).read_bytes() == (folder / "plots" / name).read_bytes(), name


def test_a_version_without_evidence_and_parent_has_a_report_too(tiny, parent, tmp_path, monkeypatch):
    plain = {key: value for key, value in parent.items() if key != "evidence"} | {"parent": None, "retired": []}
    names = {"shares", "elbow", "reliability", "drift", "transitions"}
    monkeypatch.setattr(document, "PLOTS", [p for p in PLOTS if p.name in names])
    write(tmp_path, plain, tiny.data, None)
    found = orjson.loads((tmp_path / "plots" / "index.json").read_bytes())
    assert [p["name"] for p in found] == ["shares", "elbow"]
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.all("img")) == 2
    assert "no parent" in page.text


def test_a_parent_without_evidence_has_transitions_but_no_drift(tiny, manifest, parent, tmp_path, monkeypatch):
    old = {key: value for key, value in parent.items() if key != "evidence"}
    monkeypatch.setattr(document, "PLOTS", [p for p in PLOTS if p.name in {"drift", "transitions"}])
    write(tmp_path, manifest, tiny.data, old)
    assert [p["name"] for p in orjson.loads((tmp_path / "plots" / "index.json").read_bytes())] == ["transitions"]


def test_a_parent_with_other_features_is_not_compared(tiny, manifest, parent, tmp_path, monkeypatch):
    monkeypatch.setattr(document, "PLOTS", [p for p in PLOTS if p.name == "transitions"])
    write(tmp_path, manifest, tiny.data, {**parent, "features": [f"OLD_{name}" for name in parent["features"]]})
    assert orjson.loads((tmp_path / "plots" / "index.json").read_bytes()) == []


def test_drawing_leaves_no_figure_behind(folder):
    assert folder.exists()
    assert pyplot.get_fignums() == []


def test_of_many_rows_always_the_same_sample_is_drawn(tiny, parent, monkeypatch):
    everything = score_rows(parent, tiny.data)
    assert len(everything.z) == len(tiny.data.frame)
    monkeypatch.setattr("model_service.report.subject.MAX_ROWS", 50)
    first, second = (score_rows(parent, tiny.data) for _ in range(2))
    assert len(first.z) == len(first.labels) == len(first.frame) == 50
    assert (first.frame.index == second.frame.index).all()
    assert (first.labels == everything.labels[first.frame.index]).all()


def test_rows_are_labelled_in_the_order_of_the_segments(tiny, parent):
    rows = score_rows(parent, tiny.data)
    sizes = [int((rows.labels == place).sum()) for place in range(len(rows.segments))]
    assert sizes == [s["size"] for s in rows.segments]


@pytest.mark.parametrize(("silhouette", "words_said"), [(0.23, "continuum"), (0.7, "stand apart")])
def test_limits_are_said_as_they_are(parent, silhouette, words_said):
    scores = [score | {"silhouette": silhouette} for score in parent["scores"]]
    baseline = {"rule": "buys or not", "cells": 2, "eta2_rule": 0.454, "eta2_model": 0.524, "agreement": 0.54}
    evidence = parent["evidence"] | {"baseline": baseline}
    said = " ".join(document.limits({**parent, "scores": scores, "evidence": evidence}))
    assert words_said in said
    assert f"silhouette is {silhouette:.2f}" in said
    assert "buys or not" in said
    assert "η² 0.45 against 0.52" in said
    assert "one cross-section" in said
