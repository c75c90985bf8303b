"""The overview and what needs attention as pages: each part is there or says why it is not."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from typing import Any, cast

import pytest
from contracts.customers import assignment
from contracts.drift import found as drift_of
from fakes.api_keys import ADMIN_KEY, key_of
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN
from fakes.registry import NEW
from support.customers import body, stored
from support.sessions import browser_of

from gateway import wiring
from gateway.pages.changes_in_words import changes_in_words, model
from gateway.pages.controllers import overview
from gateway.services.assignments.reports import Report
from gateway.services.clock import now
from gateway.services.errors import StoreUnavailable
from gateway.services.events.log import Memory
from gateway.services.events.summaries import MOST, ChangeSummary, Happening
from gateway.services.principal import Scope
from shared.model_contract import CSV

KEY = "csk_000000000007_" + "k" * 43
AT = datetime(2030, 5, 1, 12)


@pytest.fixture
def gateway() -> FakeGateway:
    """A gateway with two customers, in which all is well."""
    gateway = FakeGateway()
    for name in "AB":
        gateway.client.post(CUSTOMERS, json=body(name))
    gateway.changes.kept = Memory(0, now() - timedelta(days=400), now())
    gateway.logged()
    gateway.count_segments()
    gateway.workers.report("one", Report("idle", AT, None, "v1", "event-1", 0))
    return gateway


def shown(gateway: FakeGateway, *scopes: Scope) -> str:
    if scopes:
        gateway.keys.insert(key_of(KEY, scopes))
    answer = browser_of(gateway, KEY if scopes else ADMIN_KEY).get("/overview")
    assert answer.status_code == 200
    return " ".join(answer.text.partition("<main")[2].split())


def test_all_is_there(gateway: FakeGateway) -> None:
    text = shown(gateway)
    for words in (
        "How they split",
        "What changed this week",
        "2 added one by one or by another system",
        "The model service answers",
        "Every customer is scored by the model in force",
        "Not yet checked since customers were loaded",
    ):
        assert words in text
    assert "alert" not in text.partition("What changed")[0].replace("/settings/alerts", "")
    assert "COLUMN" not in text
    assert "PURCHASES" not in text


def test_without_the_model_service_the_rest_is_there(gateway: FakeGateway) -> None:
    gateway.model.failure = DOWN
    text = shown(gateway)
    assert "The segments cannot be shown." in text
    assert str(DOWN) in text
    assert "The model service does not answer" in text
    assert '<span class="value">2</span>' in text, "the customers were counted"
    assert "What changed this week" in text


def test_before_anything_was_counted(gateway: FakeGateway) -> None:
    text = shown(FakeGateway(store=gateway.store))
    assert "It is not known how many customers there are." in text
    assert "have not been counted yet" in text
    assert "Is everything in order?" in text


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("workers", "It is not known how the scoring goes on"),
        ("changes", "It cannot be said what changed."),
        ("snapshots", "It is not known how many customers there are."),
    ],
)
def test_a_part_that_the_database_does_not_give(gateway: FakeGateway, broken: str, words: str) -> None:
    getattr(gateway, broken).failure = StoreUnavailable("The database cannot be reached.")
    text = shown(gateway)
    assert words in text
    assert "The database cannot be reached." in text


def test_an_empty_database_says_how_to_begin() -> None:
    text = shown(FakeGateway())
    assert "No customers are stored yet" in text
    assert "data-begin-sample" in text
    assert 'href="/imports"' in text
    assert "How they split" not in text


def test_who_may_not_write_is_not_offered_to() -> None:
    text = shown(FakeGateway(), Scope.MODELS_READ)
    assert "No customers are stored yet" in text
    assert "data-begin-sample" not in text
    assert 'href="/imports"' not in text


@pytest.mark.parametrize("scope", Scope)
def test_each_key_sees_what_it_may(gateway: FakeGateway, scope: Scope) -> None:
    text = shown(gateway, scope)
    models, customers = scope in (Scope.MODELS_READ, Scope.ADMIN), scope in (Scope.CUSTOMERS_READ, Scope.ADMIN)
    assert ("How they split" in text) == ("What changed this week" in text) == models
    assert ("Every customer is scored" in text) == customers


def test_links_lead_where_the_key_may_go(gateway: FakeGateway) -> None:
    lines = wiring.SAMPLE.read_bytes().splitlines()
    identifier = gateway.client.post("/api/v1/imports", data=b"\n".join(lines[:2]), content_type=CSV).json["id"]
    gateway.logged()
    link, told = f'href="/imports/{identifier}"', "A file of 1 row was imported"
    text = shown(gateway)
    assert link in text
    assert told in text
    text = shown(gateway, Scope.MODELS_READ)
    assert told in text
    assert link not in text


def test_a_segment_is_no_link_for_who_may_not_open_it(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body("C1"))
    assert 'class="segment" href="/segments/seg-' in browser_of(gateway, ADMIN_KEY).get("/customers").text
    gateway.keys.insert(key_of(KEY, (Scope.CUSTOMERS_READ,)))
    text = browser_of(gateway, KEY).get("/customers").text
    assert '<span class="segment">' in text
    assert 'href="/segments/' not in text


def test_the_sample_can_be_removed_while_it_is_there(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "data-remove-sample" not in shown(gateway)
    lines = wiring.SAMPLE.read_bytes().splitlines()
    gateway.client.post("/api/v1/imports", data=b"\n".join([lines[0], lines[42]]), content_type=CSV)
    gateway.count_segments()
    assert "1 made-up customers are stored" in shown(gateway)
    monkeypatch.setattr(overview, "FEW", 2)
    text = shown(gateway)
    assert "data-remove-sample" not in text, "looking for it would go through many customers"
    assert "data-at-once" not in text


def test_nothing_goes_through_the_customers(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "FEW", 0)
    for name in ("count", "segment_counts", "stream", "rows", "find"):
        monkeypatch.setattr(gateway.store, name, lambda *_, **__: pytest.fail("it goes through the customers"))
    monkeypatch.setattr(gateway.transitions, "between", lambda *_: pytest.fail("it goes through the changes"))
    assert "How they split" in shown(gateway)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("stable", "The segments fit the customers"),
        ("watch", "The customers are changing"),
        ("retrain", "The segments are out of date"),
        ("not_enough_data", "Too few customers to compare"),
    ],
)
def test_the_light_for_drift(gateway: FakeGateway, verdict: Any, words: str) -> None:
    gateway.drift.keep({**drift_of("v1"), "verdict": verdict}, 2)
    assert words in shown(gateway)
    gateway.drift.keep({**drift_of("v0"), "verdict": verdict})
    assert "Not yet checked since customers were loaded" in shown(gateway), "that was another model"


def test_how_far_the_scoring_is(gateway: FakeGateway) -> None:
    gateway.workers.report("one", Report("running", AT, None, "v2", "event-2", 1300, 50.0))
    text = shown(gateway)
    assert "Customers are being scored" in text
    assert "0 done, 1,300 left, ready about" in text
    assert "<progress" in text


def test_until_all_are_scored_by_the_model_in_force_every_customer_counts_and_the_light_is_not_green(
    gateway: FakeGateway,
) -> None:
    gateway.store.insert_many([stored("C", assignment("seg-04", "v0")), stored("D", assignment("seg-01", "v0"))])
    gateway.store.insert_many([stored("P", None)])
    gateway.count_segments()
    text = shown(gateway)
    page = " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())
    assert "Purchases in 12 months 1,000 by all customers together" in page
    assert "Owed in total 500 their average balances" in page
    assert "2 customers still carry the former model’s segments." in page
    assert "seg-04 (no longer in the model) 1 20.0% 200 20.0% 100" in page
    assert "Without a segment yet 1 20.0% 200 20.0% 100" in page
    assert "Every customer is scored" not in page
    assert "Customers are being scored" in page
    assert 'data-rescoring="running" data-awaited="v1"' in text


def test_the_light_is_not_green_before_a_worker_knows_the_model_in_force(gateway: FakeGateway) -> None:
    gateway.workers.report("one", Report("idle", AT, None, "v0", "event-0", 0))
    assert "Customers are being scored" in shown(gateway)


def test_whether_events_reach_other_systems(gateway: FakeGateway) -> None:
    assert "webhook" not in shown(gateway).replace("/settings/webhooks", "")
    made = gateway.client.post("/api/v1/webhooks", json={"url": "https://crm.example.com/hook"}).get_json()
    gateway.logged()
    assert "Events reach the other systems" in shown(gateway)
    webhook = gateway.webhooks.webhooks[made["id"]]
    gateway.webhooks.webhooks[made["id"]] = replace(webhook, failing_since=AT)
    text = shown(gateway)
    assert "1 of them not accepting events since" in text
    assert "Another system misses events." in text


def test_what_people_wrote_shows_as_text(gateway: FakeGateway) -> None:
    evil = "<img src=x onerror=alert(1)>"
    gateway.client.post(f"/api/v1/models/{NEW}/activate", json={"reason": evil, "by": "ann"})
    gateway.logged()
    text = shown(gateway)
    assert evil not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_what_needs_attention_has_a_page(gateway: FakeGateway) -> None:
    browser = browser_of(gateway)
    well = browser.get("/settings/alerts").text
    assert "All is well." in well
    assert "no check has found that the segments do not fit" in well, "nothing has been checked here"
    gateway.drift.keep({**drift_of("v1"), "verdict": "retrain"})
    answer = browser.get("/settings/alerts")
    assert "The segments are out of date." in answer.text
    assert 'href="/models">Go to the models' in answer.text
    gateway.workers.failure = StoreUnavailable("The database cannot be reached.")
    assert browser.get("/settings/alerts").status_code == 503


# ---- in words ---------------------------------------------------------------------------------------------------

VERSION = "20261127T014808Z-a2fdabff"
COUNTS = {f"customer.{name}": 0 for name in ("created", "updated", "deleted", "restored", "erased")}


def happening(kind: Any, subject: str | None, **data: Any) -> Happening:
    return Happening(id="2", type=kind, at=AT, subject={"type": "import", "id": subject}, data=data)


def an_import(**members: Any) -> Happening:
    data = {"status": "completed", "dry_run": False, "rows": 10, "created": 0, "updated": 0, "rejected": 0}
    return happening("import.completed", "i1", **{**data, "segment_changes": {"count": 0}, **members})


def said(*items: Happening, **counts: int) -> tuple[list[str], list[str]]:
    all_ = COUNTS | {f"customer.{name}": count for name, count in counts.items()}
    summary = cast(ChangeSummary, {"since": AT, "as_of": AT, "counts": all_, "items": list(items)})
    week = changes_in_words(summary, {"seg-01": "Borrowers"})
    return week.customers, [sentence.text for sentence in week.sentences]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (an_import(rows=1, created=1), "A file of 1 row was imported: 1 new."),
        (
            an_import(rows=1_200, updated=900, rejected=7, segment_changes={"count": 4}, deleted=3),
            "A file of 1,200 rows was imported: 900 changed, 3 deleted, 4 moved to another segment, 7 refused.",
        ),
        (an_import(status="failed"), "An import failed after 10 rows: nobody new or changed."),
        (an_import(status="interrupted"), "An import was interrupted after 10 rows: nobody new or changed."),
        (an_import(status="cancelled"), "An import was stopped on request after 10 rows: nobody new or changed."),
        (
            happening("assignments.recomputed", VERSION, model_version=VERSION, rescored=90, assigned=10, moved=5),
            "100 customers were scored by the model of 27 November 2026 (01:48 UTC); "
            "5 of them moved to another segment.",
        ),
        (
            happening("model.activated", VERSION, **{"from": None, "to": VERSION, "reason": "quarterly"}),
            "The model of 27 November 2026 (01:48 UTC) was activated: “quarterly”",
        ),
        (
            happening("model.rolled_back", VERSION, **{"from": "v2", "to": VERSION, "outcome": "unknown"}),
            "The model of 27 November 2026 (01:48 UTC) was put in force again (nobody knows whether that came about).",
        ),
        (
            happening("segment.relabelled", "seg-01"),
            "Name, description, owner or actions of the segment “Borrowers” were changed.",
        ),
    ],
)
def test_a_sentence_for_each(item: Happening, text: str) -> None:
    assert said(item)[1] == [text]


def test_a_dry_run_changed_nothing() -> None:
    assert said(an_import(created=5, dry_run=True)) == ([], [])


def test_customers_in_short() -> None:
    counted, _ = said(
        an_import(created=1_000, updated=20, segment_changes={"count": 8}), created=3, updated=10, deleted=MOST
    )
    assert counted == [
        "1,000 came with files",
        "3 added one by one or by another system",
        "20 changed by files",
        "2 changed one by one or by another system",
        "10,000 or more deleted",
    ]


def test_a_version_that_has_no_day() -> None:
    assert model("v1") == "the model v1"
