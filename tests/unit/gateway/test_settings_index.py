"""The settings: who is shown the way to what."""

from __future__ import annotations

import re

import pytest
from fakes.api_keys import key_of
from fakes.gateway import FakeGateway
from support.sessions import browser_of

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
    assert 'href="/settings"' not in re.sub("(?s)<main.*</main>", "", answer.text)
