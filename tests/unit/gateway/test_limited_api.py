"""Rate limits over HTTP: who is counted as whom, what the answer says, and what is never counted."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.api_keys import ADMIN_KEY
from fakes.gateway import CUSTOMERS, MODELS, FakeGateway
from flask.testing import FlaskClient
from support.problems import assert_problem

from gateway.services.access.api_keys import key_text
from gateway.services.access.rate_limits import Rate
from gateway.services.errors import StoreUnavailable
from gateway.settings import Settings

NOBODY = "crm_" + "0" * 40
"""Looks like a key and is none."""
UNKNOWN = key_text("0" * 12, "0" * 43)
"""A key that is well-formed, but that nobody has made."""


def _gateway(**settings: Any) -> FakeGateway:
    return FakeGateway(settings=Settings(**settings))


def _few(amount: int = 3, **settings: Any) -> FakeGateway:
    rates = dict.fromkeys(("rate_limit", "rate_limit_bulk", "rate_limit_anonymous"), (Rate(amount, 60),))
    return _gateway(**(rates | settings))


def _statuses(client: FlaskClient, count: int, path: str = CUSTOMERS, **options: Any) -> list[int]:
    return [client.get(path, **options).status_code for _ in range(count)]


def _with(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestCallers:
    def test_every_answer_says_where_the_caller_stands(self) -> None:
        answer = _few().client.get(CUSTOMERS)
        assert answer.headers["RateLimit"] == '"default";r=2;t=60'
        assert answer.headers["RateLimit-Policy"] == '"default";q=3;w=60'
        assert [answer.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")] == ["3", "2", "60"]

    def test_one_request_too_many_is_refused_until_the_window_ends(self) -> None:
        gateway = _few()
        assert _statuses(gateway.client, 3) == [200] * 3
        refused = gateway.client.get(CUSTOMERS)
        assert_problem(refused, 429, "rate_limited")
        assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"] == "60"
        assert refused.headers["RateLimit-Remaining"] == "0"

    def test_refused_writes_do_nothing(self) -> None:
        gateway = _few(1)
        _statuses(gateway.client, 1)
        assert_problem(gateway.client.put(f"{CUSTOMERS}/A", json={}), 429, "rate_limited")
        assert gateway.store.get("A") is None

    def test_bad_requests_count(self) -> None:
        gateway = _few()
        assert [gateway.client.get(f"{CUSTOMERS}?x=1").status_code for _ in range(4)] == [422, 422, 422, 429]

    def test_bulk_work_has_a_limit_of_its_own(self) -> None:
        gateway = _few(rate_limit=(Rate(1_000, 60),), rate_limit_bulk=(Rate(2, 60),))
        answers = [gateway.client.get(f"{MODELS}/active/drift") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"bulk";q=2;w=60'
        assert _statuses(gateway.client, 3) == [200] * 3

    def test_the_database_being_away_refuses_nobody(self) -> None:
        gateway = _few(1200)
        gateway.quotas.failure = StoreUnavailable("away")
        assert _statuses(gateway.client, 5) == [200] * 5


class TestStrangers:
    def test_who_tries_keys_is_refused(self) -> None:
        gateway = _few()
        assert _statuses(gateway.anonymous, 4, headers=_with(NOBODY)) == [401, 401, 401, 429]
        refused = gateway.anonymous.get(CUSTOMERS, headers=_with(NOBODY))
        assert_problem(refused, 429, "rate_limited")
        assert refused.headers["Retry-After"] == "60"

    @pytest.mark.parametrize(
        "bad", [NOBODY, UNKNOWN, f"{ADMIN_KEY[:-1]}x", ""], ids=["no key", "unknown", "wrong", "none"]
    )
    def test_a_good_key_is_heard_from_the_same_address_though_nobody_has_seen_it_before(self, bad: str) -> None:
        gateway = _few()
        assert _statuses(gateway.anonymous, 4, headers=_with(bad)) == [401, 401, 401, 429]
        assert _statuses(gateway.anonymous, 3, headers=_with(ADMIN_KEY)) == [200] * 3

    def test_pages_for_everybody_are_counted_apart_from_bad_keys(self) -> None:
        gateway = _few()
        assert _statuses(gateway.anonymous, 4, headers=_with(NOBODY)) == [401, 401, 401, 429]
        assert _statuses(gateway.anonymous, 4, "/docs") == [200, 200, 200, 429]
        assert _statuses(gateway.client, 1) == [200]

    def test_who_shows_no_key_is_counted_too(self) -> None:
        assert _statuses(_few().anonymous, 4) == [401, 401, 401, 429]

    def test_a_key_that_has_held_before_is_heard_from_the_same_address(self) -> None:
        gateway = _few(rate_limit=(Rate(1_000, 60),))
        assert _statuses(gateway.client, 1) == [200]
        assert _statuses(gateway.anonymous, 4, headers=_with(NOBODY)) == [401, 401, 401, 429]
        assert _statuses(gateway.client, 5) == [200] * 5

    def test_addresses_are_counted_apart(self) -> None:
        gateway = _few()
        for address in ("192.0.2.1", "192.0.2.2"):
            environ = {"REMOTE_ADDR": address}
            assert _statuses(gateway.anonymous, 4, environ_base=environ) == [401, 401, 401, 429]

    def test_an_ipv6_network_counts_as_one(self) -> None:
        gateway = _few()
        environs = [{"REMOTE_ADDR": f"2001:db8:1:2::{number:x}"} for number in range(4)]
        answers = [gateway.anonymous.get(CUSTOMERS, environ_base=environ) for environ in environs]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        another = gateway.anonymous.get(CUSTOMERS, environ_base={"REMOTE_ADDR": "2001:db8:1:3::1"})
        assert another.status_code == 401

    def test_good_keys_cost_the_address_nothing(self) -> None:
        gateway = _few(rate_limit=(Rate(1_000, 60),))
        _statuses(gateway.client, 10)
        assert _statuses(gateway.anonymous, 3) == [401] * 3

    def test_open_pages_are_counted_by_address(self) -> None:
        gateway = _few()
        assert _statuses(gateway.anonymous, 4, "/") == [200, 200, 200, 429]

    @pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
    def test_health_checks_are_not(self, path: str) -> None:
        gateway = _few()
        assert _statuses(gateway.anonymous, 10, path) == [200] * 10
        assert "RateLimit" not in gateway.anonymous.get(path).headers


class TestProxies:
    @staticmethod
    def _from(gateway: FakeGateway, forwarded: str, count: int) -> list[int]:
        return _statuses(gateway.anonymous, count, headers={"X-Forwarded-For": forwarded})

    def test_are_not_believed_without_a_setting(self) -> None:
        gateway = _few()
        assert [self._from(gateway, f"192.0.2.{number}", 1)[0] for number in range(4)] == [401, 401, 401, 429]

    def test_say_who_calls(self) -> None:
        gateway = _few(trusted_proxies=1)
        assert self._from(gateway, "192.0.2.1", 4) == [401, 401, 401, 429]
        assert self._from(gateway, "192.0.2.2", 3) == [401] * 3

    def test_are_believed_no_further_than_there_are(self) -> None:
        gateway = _few(trusted_proxies=1)
        forged = [self._from(gateway, f"198.51.100.{number}, 192.0.2.1", 1)[0] for number in range(4)]
        assert forged == [401, 401, 401, 429]
