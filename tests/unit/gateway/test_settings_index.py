"""The settings: who is shown the way to what, what each key may, and who did what in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import get_args

import pytest
from contracts.changes import about
from fakes.api_keys import key_of
from fakes.gateway import CUSTOMERS, FakeGateway
from support.customers import body
from support.sessions import browser_of

from gateway.pages.controllers.api_keys import SCOPES
from gateway.pages.controllers.audit import WORDS
from gateway.services.events.change import ChangeType
from gateway.services.principal import Scope

KEY = "csk_000000000007_" + "k" * 43
OF_ALL = {"/settings/keys", "/settings/webhooks", "/settings/alerts", "/settings/audit"}


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        (Scope.ADMIN, OF_ALL),
        (Scope.WEBHOOKS, {"/settings/webhooks"}),
        (Scope.MODELS_READ, {"/settings/alerts"}),
    ],
)
def test_each_is_shown_what_it_may_open(gateway: FakeGateway, scope: Scope, shown: set[str]) -> None:
    gateway.keys.insert(key_of(KEY, [scope]))
    answer = browser_of(gateway, KEY).get("/settings")
    assert answer.status_code == 200
    assert set(re.findall(r'href="(/settings/\w+)"', answer.text)) == shown


def test_who_may_open_none_of_them_is_not_shown_the_way(gateway: FakeGateway) -> None:
    gateway.keys.insert(key_of(KEY, [Scope.CUSTOMERS_READ]))
    browser = browser_of(gateway, KEY)
    answer = browser.get("/settings")
    assert answer.status_code == 403
    assert "Your key may not do this; ask whoever made it." in answer.text
    assert "Try again" not in answer.text
    assert 'href="/settings"' not in re.sub("(?s)<main.*</main>", "", answer.text)


def test_every_scope_and_everything_that_can_be_done_has_words() -> None:
    assert {*SCOPES} == {*Scope}
    assert {*WORDS} == {*get_args(ChangeType)}


class TestAudit:
    def _entries(self, gateway: FakeGateway, **asked: str) -> list[str]:
        answer = browser_of(gateway).get("/settings/audit", query_string=asked)
        assert answer.status_code == 200, answer.text
        return re.findall("(?s)</a> ([A-Za-z ]+?)(?:: |<|\n)", answer.text.partition("<tbody>")[2])

    @pytest.fixture
    def busy(self, gateway: FakeGateway) -> FakeGateway:
        """A gateway where something has been done."""
        gateway.client.post("/api/v1/api-keys", json={"name": "<b>CRM", "scopes": ["models:read"]})
        gateway.client.post(CUSTOMERS, json=body("C1"))
        gateway.client.delete(f"{CUSTOMERS}/C1")
        gateway.logged()
        return gateway

    def test_says_newest_first_who_did_what(self, busy: FakeGateway) -> None:
        assert self._entries(busy) == ["deleted a customer", "added a customer", "made an API key"]

    def test_shows_what_is_asked_for(self, busy: FakeGateway) -> None:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        assert self._entries(busy, subject="C1", action="", actor="") == ["deleted a customer", "added a customer"]
        assert self._entries(busy, action="api_key.created") == ["made an API key"]
        assert self._entries(busy, actor="nobody") == []
        assert len(self._entries(busy, **{"from": today, "until": today})) == 3
        assert self._entries(busy, until="2020-01-01") == []

    @pytest.mark.parametrize("wrong", ["from=yesterday", "action=everything", "cursor=x"])
    def test_says_what_is_wrong_with_a_filter(self, gateway: FakeGateway, wrong: str) -> None:
        answer = browser_of(gateway).get(f"/settings/audit?{wrong}")
        assert (answer.status_code, f"?{wrong.partition('=')[0]}" in answer.text) == (422, True)

    def test_goes_on_with_the_same_filter(self, gateway: FakeGateway) -> None:
        for number in range(60):
            gateway.client.post(CUSTOMERS, json=body(f"C{number}"))
        gateway.logged()
        browser = browser_of(gateway)
        first = browser.get("/settings/audit?action=customer.created")
        (further,) = re.findall('rel="next" href="([^"]+)"', first.text.replace("&amp;", "&"))
        second = browser.get(further)
        seen = re.findall("<code>(C\\d+)</code>", first.text + second.text)
        assert len(seen) == len(set(seen)) == 60

    def test_leaves_out_who_moved_with_many_others_unless_asked(self, busy: FakeGateway) -> None:
        busy.outboxes.add([about("customer", "C2", 1, type="customer.segment_changed", cause="model_activated")])
        busy.logged()
        follows = "activated a model, which moved a customer"
        assert follows not in browser_of(busy).get("/settings/audit").text
        text = browser_of(busy).get("/settings/audit?action=").text
        assert '<a href="/settings/audit?action=&amp;moved=yes">Also show every customer that moved</a>' in text
        for asked in ("moved=yes", "subject=C2", "action=customer.segment_changed"):
            assert follows in browser_of(busy).get(f"/settings/audit?{asked}").text

    def test_shows_an_import_itself_but_not_each_customer_it_changed(self, busy: FakeGateway) -> None:
        busy.outboxes.add([about("import", "I1", 1, type="import.completed", cause="import")])
        busy.outboxes.add([about("customer", "C2", 2, cause="import")])
        busy.logged()
        text = browser_of(busy).get("/settings/audit").text
        assert "finished an import" in text
        assert "imported a file, which changed a customer" not in text

    def test_offers_whom_one_can_choose_by_name(self, busy: FakeGateway) -> None:
        text = browser_of(busy).get("/settings/audit?actor=gone").text
        assert '<option value="gone" selected>gone</option>' in text
        assert re.search('<option value="[^"]+">&lt;b&gt;CRM</option>', text)

    def test_names_nobody_who_has_been_erased(self, busy: FakeGateway) -> None:
        assert busy.client.delete(f"{CUSTOMERS}/C1?erase=true").status_code == 200
        busy.logged()
        answer = browser_of(busy).get("/settings/audit")
        assert "erased a customer for good" in answer.text
        assert "C1<" not in answer.text


def test_the_keys_are_listed_with_what_they_may_and_never_their_secrets(gateway: FakeGateway) -> None:
    gateway.keys.insert(key_of(KEY, [Scope.MODELS_READ]))
    text = browser_of(gateway).get("/settings/keys").text
    assert "See segments, models and alerts" in text
    assert "csk_000000000007" in text
    assert KEY[-20:] not in text
    gateway.services.api_keys.revoke("000000000007")
    assert "do not work any more (1)" in browser_of(gateway).get("/settings/keys").text
