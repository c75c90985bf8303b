"""What segments are called that the model does not have any more: on the pages, and where it is asked for."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.gateway import FakeGateway
from fakes.model import DOWN
from support.customers import stored
from support.sessions import browser_of

from gateway.services.clock import now
from gateway.services.events.log import Memory
from gateway.services.models.former_names import KNOWN_SECONDS, FormerNames

GONE = "Big spenders (no longer in the model)"


@pytest.fixture
def asked(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the list of versions was asked for, which has a segment that only earlier versions have."""
    models, calls = gateway.registry.models, []

    def listed() -> Any:
        found: Any = models()
        calls.append(1)
        named = ["Big spenders", "Spenders"]  # the newest version comes first
        for entry, name in zip(found["items"], named, strict=True):
            entry["segments"] = [{"id": "seg-04", "name": name, "size": 1, "share": 1.0}]
        return found

    monkeypatch.setattr(gateway.registry, "models", listed)
    return calls


def test_the_last_name_is_known_and_asked_for_now_and_then(gateway: FakeGateway, asked: list[int]) -> None:
    time = [0.0]
    names = FormerNames(gateway.services.segments.descriptions, gateway.registry, lambda: time[0])
    assert names.of([]) == names.of(["seg-01"]) == {}
    assert asked == [], "nobody is asked about what is there"
    for _ in range(3):
        assert names.of(["seg-01", "seg-04"]) == {"seg-04": GONE}
    assert names.of(["seg-09"]) == {"seg-09": "seg-09 (no longer in the model)"}
    assert len(asked) == 1
    time[0], gateway.registry.failure = KNOWN_SECONDS, DOWN
    assert names.of(["seg-04"]) == {"seg-04": GONE}, "as it was known last"


def test_while_nothing_is_known_of_the_model_no_segment_is_gone(gateway: FakeGateway) -> None:
    gateway.model.failure = gateway.registry.failure = DOWN
    assert FormerNames(gateway.services.segments.descriptions, gateway.registry).of(["seg-04"]) == {}


def test_pages_show_them_without_a_link(gateway: FakeGateway, asked: list[int]) -> None:
    gateway.store.insert_many([stored("A", assignment("seg-04", "v0")), stored("B", assignment())])
    gateway.changes.kept = Memory(0, *2 * [now() - timedelta(days=90)])
    earlier = gateway.count_segments()
    gateway.snapshots.keep("test", replace(earlier, as_of=now() - timedelta(minutes=70)))
    gateway.count_segments()
    assert gateway.client.post("/api/v1/customers/A/segment").status_code == 200
    gateway.logged()
    browser = browser_of(gateway)
    gateway.store.insert_many([stored(each, assignment("seg-04", "v0")) for each in "DE"])
    assert gateway.client.delete("/api/v1/customers/D").status_code == 204
    for address in ("/overview", "/customers/A", "/customers", "/deleted-customers"):
        page = browser.get(address).text
        text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
        assert GONE in text, address
        assert "/segments/seg-04" not in page, address
    for address in ("/segments/seg-04", "/segments/seg-04/moves"):
        answer = browser.get(address)
        assert answer.status_code == 404
        assert f"<h1>{GONE}</h1>" in answer.text
        assert 'href="/customers?segment=seg-04"' in answer.text
    assert f'"seg-04": "{GONE}"' in unescape(browser.get("/overview").text), "for who moved between segments"
    assert asked
