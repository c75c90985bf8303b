"""The pages of webhooks: what they say of each state, whom they are shown, and that texts of others are texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from contracts.webhooks import AT, FAILED
from fakes.api_keys import key_of
from fakes.gateway import FakeGateway
from support.sessions import browser_of

from gateway.pages.controllers.webhooks import TYPES
from gateway.services.events.feed import EVENT_TYPES
from gateway.services.principal import Scope
from gateway.services.webhooks.webhook import WebhookChange
from gateway.services.webhooks.webhooks import MOST_WEBHOOKS

KEY = "csk_000000000007_" + "k" * 43
EVIL = "<script>alert(1)</script>"


def webhook(gateway: FakeGateway, **members: Any) -> str:
    answer = gateway.client.post("/api/v1/webhooks", json={"url": "https://crm.example/x?a=<b>", **members})
    return str(answer.json["id"])


def shown(gateway: FakeGateway, address: str = "", scope: Scope = Scope.WEBHOOKS) -> str:
    if KEY[4:16] not in gateway.keys.keys:
        gateway.keys.insert(key_of(KEY, [scope]))
    answer = browser_of(gateway, KEY).get(f"/settings/webhooks{address}")
    assert answer.status_code == 200, answer.text
    return answer.text


def test_every_type_of_event_has_words() -> None:
    assert set(TYPES) == set(EVENT_TYPES)
    assert len(set(TYPES.values())) == len(TYPES)


def test_before_there_is_one(gateway: FakeGateway) -> None:
    text = shown(gateway)
    assert "Add the first webhook" in text
    assert "Who is told" not in text


def test_all_of_them_with_what_they_are_told(gateway: FakeGateway) -> None:
    webhook(gateway, description=EVIL)
    webhook(gateway, types=["customer.deleted"])
    text = shown(gateway)
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "x?a=&lt;b&gt;" in text
    assert "everything" in text
    assert "A customer was deleted" in text


def test_when_there_are_as_many_as_may_be(gateway: FakeGateway) -> None:
    for _ in range(MOST_WEBHOOKS):
        webhook(gateway)
    assert 'id="new-webhook"' not in shown(gateway)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, ["active", "Nothing has been sent yet", "Pause"]),
        ({"status": "paused"}, ["paused", "Messages wait", "Go on"]),
        ({"status": "disabled", "reason": EVIL}, ["switched off", "&lt;script&gt;", "Switch it on"]),
        ({"failing_since": AT, "attempts": 3, "retry_at": AT}, ["not getting through", "3 attempts", "Try now"]),
        ({"old_nonce": "x", "old_until": AT}, ["the new secret and, until"]),
    ],
)
def test_each_state_is_told_in_words(gateway: FakeGateway, members: WebhookChange, words: list[str]) -> None:
    webhook_id = webhook(gateway)
    gateway.webhooks.change(webhook_id, members)
    text = shown(gateway, f"/{webhook_id}")
    assert [word for word in words if word not in text] == []
    assert EVIL not in text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://crm.example/hooks", []),
        ("http://crm.example/hooks", ["not encrypted"]),
        ("https://93.184.215.14/", []),
        ("https://10.1.2.3/", ["an address inside this network"]),
        ("https://[::1]:8443/", ["an address inside this network"]),
        ("https://crm.internal./", ["an address inside this network"]),
        ("http://localhost:9000/", ["not encrypted", "an address inside this network"]),
    ],
)
def test_what_is_unusual_about_an_address_is_said(gateway: FakeGateway, url: str, words: list[str]) -> None:
    webhook_id = webhook(gateway)
    gateway.webhooks.change(webhook_id, {"url": url})
    for text in (shown(gateway), shown(gateway, f"/{webhook_id}")):
        said = [each for each in ("not encrypted", "an address inside this network") if each in text.lower()]
        assert said == words


def test_messages_with_what_was_answered(gateway: FakeGateway) -> None:
    webhook_id = webhook(gateway)
    answer = replace(FAILED, webhook_id=webhook_id, answer=EVIL, detail=f"500 {EVIL}")
    for number in range(25):
        gateway.webhook_deliveries.put(replace(answer, id=f"d{number:02}", type="customer.deleted"))
    gateway.webhook_deliveries.put(replace(answer, id="test", type="webhook.test", event=None, status="failed"))
    first = shown(gateway, f"/{webhook_id}")
    assert EVIL not in first
    assert (
        first.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 60
    )  # twice in words, of which a phone shows one, and the text
    assert "A customer was deleted" in first
    assert "A test" in first
    following = first.partition('rel="next" href="')[2].partition('"')[0]
    assert shown(gateway, f"/{webhook_id}{following}").count("data-delivery=") == 6
    failed = shown(gateway, f"/{webhook_id}?status=failed")
    assert failed.count("data-delivery=") == 1


def test_without_the_scope_they_are_not_shown(gateway: FakeGateway) -> None:
    gateway.keys.insert(key_of(KEY, [Scope.MODELS_READ]))
    browser = browser_of(gateway, KEY)
    for address in ("", f"/{webhook(gateway)}"):
        assert browser.get(f"/settings/webhooks{address}").status_code == 403


def test_one_that_there_is_not(gateway: FakeGateway) -> None:
    answer = browser_of(gateway).get("/settings/webhooks/nobody")
    assert answer.status_code == 404
    assert "There is no webhook" in answer.text
