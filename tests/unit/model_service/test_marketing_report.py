"""The report's edition for marketing: a page a segment, in plain words."""

from __future__ import annotations

import copy
import re
import shutil

import pytest
from asgi_client import assert_problem
from test_report import Page

from model_service.report import marketing
from model_service.report.figures import Figures, certainty
from model_service.report.subject import score_rows
from model_service.store.registry import ModelStore
from shared.features import FEATURES
from shared.model_contract import ACTIVE, MODELS, SEGMENTS

JSON = {"content-type": "application/json"}
HOSTILE = "<script>alert(1)</script>"
JARGON = re.compile(
    r"log1p|\bz\b|η|standard deviation|centroid|silhouette|cluster|currency units|\bk\b|upload\.|seg-\d", re.IGNORECASE
)


def label(name=None, description=None, owner=None):
    return {"name": name, "description": description, "owner": owner, "derived_name": "Regular shoppers"}


@pytest.fixture(scope="module")
def manifest(tiny):
    store = ModelStore(tiny.store)
    found = copy.deepcopy(store.manifest(store.versions()[0]))
    found["data"] |= {"stored_at": "2026-11-27T09:00:00Z", "name": "the customers stored in the gateway"}
    return found


@pytest.fixture(scope="module")
def figures(tiny, manifest) -> Figures:
    return {"certainty": certainty(manifest, score_rows(manifest, tiny.data))}


@pytest.fixture(scope="module")
def text(manifest, figures) -> str:
    first = manifest["segments"][0]["id"]
    return marketing.render(manifest, figures, {first: label("Umbrella people", HOSTILE, "Ann")}, "EUR")


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def said(page: Page) -> str:
    """What one reads, without the style sheet."""
    return page.text.partition("segments :root")[0] + page.text.rpartition("}")[2]


def test_has_a_page_for_each_segment_with_who_how_many_money_and_what_to_do(page, manifest):
    assert [attributes["id"] for attributes in page.all("h2")] == [
        s["id"] for s in sorted(manifest["segments"], key=lambda s: -s["share"])
    ]
    k = len(manifest["segments"])
    for each in ("Owe on average", "Buy in 12 months", "What to do", "They differ most in"):
        assert page.text.count(each) >= k
    assert all(action in page.text for s in manifest["segments"] for action in s["actions"])


def test_speaks_plain_words_and_money(page):
    words = said(page)
    assert len(words) > 2000
    assert JARGON.findall(words) == []
    assert [f.name for f in FEATURES if re.search(rf"\b{f.name}\b", words)] == []
    assert "€" in words
    assert "stored customers, 27 November 2026" in words


def test_calls_segments_as_people_do_and_what_they_wrote_is_text(text, page):
    assert page.text.count("Umbrella people") > 2
    assert "In charge: Ann" in page.text
    assert page.all("script") == []
    assert HOSTILE in page.text
    assert "&lt;script&gt;" in text


def test_holds_all_it_shows_and_can_be_printed_and_read_on_a_phone(text, page):
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form", "img"}
    assert "://" not in text
    assert "@media print" in text
    assert "@media screen and (max-width" in text
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(text) < 300_000


def test_versions_of_before_have_one_too(manifest):
    """From before there were figures, evidence and labels."""
    old = {key: value for key, value in manifest.items() if key != "evidence"}
    page = Page(marketing.render(old, None, {}, ""))
    assert len(page.all("h2")) == len(manifest["segments"])
    assert "€" not in page.text


@pytest.mark.parametrize(
    ("positions", "told"),
    [
        ({}, "They are much like all customers."),
        ({"cash": 0.5, "debt": 1.2}, "Compared with all customers, they owe much more and draw more cash on credit."),
        ({"spend": -1.5, "oneoff": -0.7, "instalment": -0.9}, "Compared with all customers, they buy much less."),
        (
            {"spend": 0.5, "oneoff": -0.6, "instalment": 0.9},
            "Compared with all customers, they buy more in instalments and buy less in one go.",
        ),
    ],
)
def test_who_the_customers_are_is_said_in_a_sentence(monkeypatch, positions, told):
    monkeypatch.setattr(marketing, "composites", lambda _: positions)
    assert marketing.who({"profile": {}}) == told


@pytest.fixture
def service(connect, tiny, tmp_path):
    shutil.copytree(tiny.store, tmp_path / "models")
    return connect(model_store=tmp_path / "models", currency="CHF")


def test_is_made_when_it_is_asked_for_with_the_names_and_the_currency_of_now(service):
    """Of a version without a stored report, too."""
    address = f"{MODELS}/{ACTIVE}/report?edition=marketing"
    before = service.get(address)
    assert before.status == 200, before.body
    assert before.headers["content-type"] == "text/html; charset=utf-8"
    assert "CHF\N{NO-BREAK SPACE}" in before.body.decode()
    assert service.get(address, if_none_match=before.headers["etag"]).status == 304
    segment = service.get(f"{MODELS}/{ACTIVE}").json()["segments"][0]["id"]
    said = b'{"name": "Umbrella people", "actions": ["Send a weather report"]}'
    answer = service.request("PATCH", f"{SEGMENTS}/{segment}", said, JSON)
    assert answer.status == 200, answer.body
    after = service.get(address, if_none_match=before.headers["etag"])
    assert after.status == 200
    assert b"Umbrella people" in after.body
    assert b"Send a weather report" in after.body


@pytest.mark.parametrize("query", ["edition=poetry", "edition=", "colour=red", "edition=marketing&edition=validation"])
def test_other_editions_and_parameters_are_refused(service, query):
    answer = service.get(f"{MODELS}/{ACTIVE}/report?{query}")
    assert_problem(answer, 422, "validation_failed", [f"?{query.partition('=')[0]}"])


def test_of_a_version_that_is_not_there(service):
    assert_problem(
        service.get(f"{MODELS}/20990101T000000Z-00000000/report?edition=marketing"), 404, "version_not_found"
    )
