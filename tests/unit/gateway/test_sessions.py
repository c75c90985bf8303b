"""Sessions: what begins one, what ends it, and what a browser must bring along to change something."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from fakes.api_keys import ADMIN_KEY, key_of
from fakes.gateway import SEGMENTS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.problems import assert_problem
from support.sessions import PageClient, browser_of
from werkzeug.test import TestResponse

from gateway.pages.controllers.sign_in import local
from gateway.services.access.api_keys import Rotation, parse_key
from gateway.services.access.authentication import FRESH_SECONDS
from gateway.services.access.one_time_tokens import LIFETIME
from gateway.services.access.sessions import IDLE, LONGEST, LONGEST_OF_ISSUER, RENEWED_AFTER
from gateway.services.clock import now
from gateway.services.errors import ApiKeyNotFound, ApiKeyUnusable, StoreUnavailable
from gateway.services.principal import Principal, Scope

SIGN_IN = "/sign-in?next=%2Fsettings"
ADMIN_ID = "AdminAdmin01"
OTHER = "csk_000000000007_" + "k" * 43

Later = Callable[[timedelta], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Moves the clock on."""
    at, ns = time.time, time.time_ns
    passed = 0.0

    def move(by: timedelta) -> None:
        nonlocal passed
        passed += by.total_seconds()
        monkeypatch.setattr(time, "time", lambda: at() + passed)
        monkeypatch.setattr(time, "time_ns", lambda: ns() + int(passed * 1e9))

    return move


@pytest.fixture
def browser(gateway: FakeGateway) -> PageClient:
    """A browser that is signed in with a key that may do everything."""
    return browser_of(gateway)


def _ended(browser: PageClient) -> None:
    """Assert that pages lead to where one signs in, and that the API says so."""
    answer = browser.get("/settings")
    assert (answer.status_code, answer.headers["Location"]) == (303, SIGN_IN)
    assert browser.get("/api/v1/models", headers={"Sec-Fetch-Mode": "cors", "Accept": "*/*"}).status_code == 401


def _rename(browser: PageClient, csrf_token: str | None) -> TestResponse:
    headers = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}
    headers |= {} if csrf_token is None else {"X-CSRF-Token": csrf_token}
    return browser.patch(f"{SEGMENTS}/seg-01", json={"owner": "Ada"}, headers=headers)


class TestSigningIn:
    def test_leads_to_the_first_page_or_to_the_one_that_was_asked_for(self, gateway: FakeGateway) -> None:
        gateway.keys.insert(key_of(OTHER, [Scope.CUSTOMERS_READ]))
        browser = browser_of(gateway, None)
        assert browser.get("/").headers["Location"] == "/sign-in"
        assert browser.sign_in(OTHER).headers["Location"] == "/overview"
        assert browser.get("/sign-in").headers["Location"] == "/overview"
        assert browser.get("/sign-in?next=/customers/C1").headers["Location"] == "/customers/C1"

    @pytest.mark.parametrize("key", ["", "csk_", ADMIN_KEY[:-1], OTHER, "eyJhbGciOiJSUzI1NiJ9.e30.x"])
    def test_with_a_key_that_does_not_hold_shows_the_form_again(self, gateway: FakeGateway, key: str) -> None:
        answer = browser_of(gateway, None).sign_in(key, next="/customers?sort=-BALANCE")
        assert answer.status_code == 401
        assert "This key does not open anything" in answer.text
        assert 'value="/customers?sort=-BALANCE"' in answer.text
        assert "Set-Cookie" not in answer.headers
        assert key in ("", "csk_") or key not in answer.text

    def test_heeds_no_idempotency_key_which_would_be_nobodys(self, gateway: FakeGateway) -> None:
        for key in (ADMIN_KEY, "wrong"):
            answer = browser_of(gateway, None).post("/sign-in", data={"key": key}, headers={"Idempotency-Key": "1"})
            assert answer.status_code == (303 if key == ADMIN_KEY else 401)

    def test_from_another_site_is_refused(self, gateway: FakeGateway) -> None:
        """Login CSRF: somebody else's key, or address, in the browser of a person who does not know it."""
        browser = browser_of(gateway, None)
        token = gateway.services.access.one_time_tokens.make(ADMIN_ID)
        for site in ("cross-site", "same-site"):
            for form in ({"key": ADMIN_KEY}, {"once": token}):
                answer = browser.post("/sign-in", data=form, headers={"Sec-Fetch-Site": site})
                assert (answer.status_code, answer.headers.get("Set-Cookie")) == (403, None)
        assert "data-at-once" in browser.get("/sign-in/once").text
        del browser.environ_base["HTTP_SEC_FETCH_SITE"]
        assert "data-at-once" not in browser.get("/sign-in/once").text, "nobody says whose link it was"
        assert "data-at-once" not in browser.get("/sign-in/once", headers={"Sec-Fetch-Site": "cross-site"}).text

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Origin": "http://localhost"}, 303),
            ({"Referer": "http://localhost/sign-in?next=/settings"}, 303),
            ({}, 303),
            ({"Origin": "null"}, 403),
            ({"Origin": ""}, 303),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "https://localhost"}, 403),
            ({"Origin": "http://localhost:81"}, 403),
            ({"Origin": "http://localhost.evil.example"}, 403),
            ({"Referer": "http://evil.example/http://localhost/"}, 403),
            ({"Origin": "null", "Referer": "http://localhost/sign-in"}, 403),
        ],
    )
    def test_from_another_site_is_refused_in_the_clear_too(
        self, gateway: FakeGateway, headers: dict[str, str], status: int
    ) -> None:
        """Browsers send Sec-Fetch-… only over TLS and to this machine; curl sends nothing of all that."""
        browser = browser_of(gateway, None)
        del browser.environ_base["HTTP_SEC_FETCH_SITE"], browser.environ_base["HTTP_SEC_FETCH_MODE"]
        assert browser.get("/sign-in").headers["Referrer-Policy"] == "same-origin", "or the origin would be null"
        answer = browser.post("/sign-in", data={"key": ADMIN_KEY}, headers=headers)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (status, status == 303)

    def test_while_the_database_is_away_says_so(self, gateway: FakeGateway) -> None:
        gateway.keys.failure = StoreUnavailable("away")
        answer = browser_of(gateway, None).sign_in()
        assert (answer.status_code, "Not available at the moment" in answer.text) == (503, True)

    @pytest.mark.parametrize("site", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"])
    def test_leads_to_no_other_site(self, gateway: FakeGateway, site: str) -> None:
        assert browser_of(gateway, None).sign_in(next=site).headers["Location"] == "/overview"

    @given(st.text(st.sampled_from("/\\\t\r\n:@?#.%evil "), max_size=12))
    def test_leads_to_no_other_site_however_it_is_written(self, text: str) -> None:
        """As browsers read addresses (WHATWG URL): tabs and line ends are left out, a backslash is a slash."""
        read = "".join(letter for letter in local(text).strip() if letter not in "\t\r\n").replace("\\", "/")
        assert urlsplit(urljoin("http://here/page", read)).netloc == "here"

    def test_at_an_issuer_is_not_offered_where_there_is_none(self, gateway: FakeGateway) -> None:
        browser = browser_of(gateway, None)
        assert "your account" not in browser.get("/sign-in").text
        assert {browser.get(f"/sign-in/{way}").status_code for way in ("issuer", "callback")} == {404}


class TestCookie:
    def _cookie(self, gateway: FakeGateway, scheme: str) -> str:
        client = PageClient(gateway.app, gateway.app.response_class)
        answer = client.post("/sign-in", base_url=f"{scheme}://localhost", data={"key": ADMIN_KEY})
        return str(answer.headers["Set-Cookie"])

    def test_over_tls_is_for_this_host_and_tls_alone(self, gateway: FakeGateway) -> None:
        name, *attributes = self._cookie(gateway, "https").split("; ")
        assert name.startswith("__Host-session=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"} < set(attributes)
        assert [each for each in attributes if each.startswith("Domain")] == []

    def test_in_the_clear_is_no_secure_one(self, gateway: FakeGateway) -> None:
        name, *attributes = self._cookie(gateway, "http").split("; ")
        assert name.startswith("session=")
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} < set(attributes)

    def test_of_the_clear_opens_nothing_over_tls(self, gateway: FakeGateway) -> None:
        client = PageClient(gateway.app, gateway.app.response_class)
        client.sign_in()
        assert client.get("/settings").status_code == 200
        assert client.get("/settings", base_url="https://localhost").status_code == 303

    @pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: f"x{token}", lambda _: "x.y.z"])
    def test_that_somebody_changed_opens_nothing(
        self, gateway: FakeGateway, browser: PageClient, change: Callable[[str], str]
    ) -> None:
        kept = browser.get_cookie("session")
        assert kept is not None
        browser.set_cookie("session", change(kept.value))
        _ended(browser)

    def test_of_another_installation_opens_nothing(self, gateway: FakeGateway, browser: PageClient) -> None:
        other = FakeGateway(gateway.settings.model_copy(update={"secret_key": "another"}))
        strange = browser_of(other).get_cookie("session")
        assert strange is not None
        browser.set_cookie("session", strange.value)
        _ended(browser)


class TestEnd:
    def test_comes_after_an_hour_without_a_request(self, browser: PageClient, later: Later) -> None:
        later(IDLE - timedelta(seconds=2))
        assert browser.get("/settings").status_code == 200
        later(IDLE - timedelta(seconds=2))
        assert browser.get("/settings").status_code == 200, "it was signed anew"
        later(IDLE + timedelta(seconds=2))
        _ended(browser)

    def test_comes_after_so_many_hours_whatever_is_asked(self, browser: PageClient, later: Later) -> None:
        for _ in range(int(LONGEST / timedelta(minutes=50))):
            later(timedelta(minutes=50))
            assert browser.get("/settings").status_code == 200
        later(timedelta(minutes=50))
        _ended(browser)

    def test_renewal_is_seldom(self, browser: PageClient, later: Later) -> None:
        assert "Set-Cookie" not in browser.get("/settings").headers
        later(RENEWED_AFTER + timedelta(seconds=2))
        assert "session=" in browser.get("/settings").headers["Set-Cookie"]
        assert "Set-Cookie" not in browser.get("/settings").headers

    def test_comes_with_the_key(self, gateway: FakeGateway, browser: PageClient) -> None:
        token = browser.csrf_token()
        gateway.services.api_keys.revoke(ADMIN_ID)
        _ended(browser)
        assert_problem(_rename(browser, token), 401, "unauthenticated")
        assert browser.get("/sign-in").status_code == 200

    def test_comes_when_the_key_expires(self, gateway: FakeGateway, browser: PageClient) -> None:
        gateway.keys.keys[ADMIN_ID] = replace(gateway.keys.keys[ADMIN_ID], expires_at=datetime(2020, 1, 1))
        gateway.services.api_keys._forget(ADMIN_ID)
        _ended(browser)

    @pytest.mark.parametrize(("overlap", "goes_on"), [(timedelta(), False), (timedelta(hours=1), True)])
    def test_comes_when_the_secret_is_rotated_away(
        self, gateway: FakeGateway, browser: PageClient, overlap: timedelta, goes_on: bool
    ) -> None:
        gateway.services.api_keys.rotate(ADMIN_ID, overlap)
        if goes_on:
            assert browser.get("/settings").status_code == 200
        else:
            _ended(browser)

    def test_comes_with_what_the_key_may_no_longer_do(self, gateway: FakeGateway, browser: PageClient) -> None:
        gateway.keys.keys[ADMIN_ID] = replace(gateway.keys.keys[ADMIN_ID], scopes=frozenset({Scope.EVENTS_READ}))
        gateway.services.api_keys._forget(ADMIN_ID)
        assert browser.get("/settings").status_code == 403

    def test_of_the_issuers_people_comes_sooner(self, gateway: FakeGateway, later: Later) -> None:
        sessions = gateway.services.access.sessions
        token = sessions.token_of(sessions.begin_as(Principal("token", "ann", "Ann", frozenset({Scope.MODELS_READ}))))
        browser = browser_of(gateway, None)
        browser.set_cookie("session", token)
        later(LONGEST_OF_ISSUER - timedelta(minutes=2))
        assert browser.get("/settings").status_code == 200
        later(timedelta(minutes=3))
        _ended(browser)

    def test_comes_with_signing_out(self, browser: PageClient) -> None:
        assert browser.post("/sign-out", data={"csrf_token": "wrong"}).status_code == 403
        assert browser.post("/sign-out").status_code == 403
        elsewhere = {"Sec-Fetch-Site": "cross-site"}
        token = browser.csrf_token()
        assert browser.post("/sign-out", data={"csrf_token": token}, headers=elsewhere).status_code == 403
        assert browser.get("/settings").status_code == 200
        answer = browser.post("/sign-out", data={"csrf_token": token})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
        _ended(browser)
        assert browser.post("/sign-out", data={"csrf_token": token}).status_code == 303, "a second time"

    def test_comes_with_signing_out_for_a_copied_cookie_too_and_for_no_other_session(
        self, gateway: FakeGateway, browser: PageClient
    ) -> None:
        copy, beside = browser_of(gateway, None), browser_of(gateway)
        kept = browser.get_cookie("session")
        assert kept is not None
        copy.set_cookie("session", kept.value)
        assert copy.get("/settings").status_code == 200
        browser.post("/sign-out", data={"csrf_token": browser.csrf_token()})
        _ended(copy)
        assert beside.get("/settings").status_code == 200

    def test_is_noted_where_other_processes_find_it(self, gateway: FakeGateway, browser: PageClient) -> None:
        other = FakeGateway(gateway.settings, keys=gateway.keys, ended_sessions=gateway.ended_sessions)
        kept = browser.get_cookie("session")
        assert kept is not None
        browser.post("/sign-out", data={"csrf_token": browser.csrf_token()})
        elsewhere = browser_of(other, None)
        elsewhere.set_cookie("session", kept.value)
        _ended(elsewhere)
        assert [until - now() > IDLE for until in gateway.ended_sessions.until.values()] == [True]

    def test_by_an_answer_to_a_script_is_not_put_off(self, browser: PageClient, later: Later) -> None:
        """Such an answer may come after signing out, or after somebody else has signed in."""
        later(RENEWED_AFTER + timedelta(seconds=2))
        script = {"Sec-Fetch-Mode": "cors"}
        for address, headers in (("/settings", script), ("/api/v1/models", script), ("/api/v1/models", {})):
            answer = browser.get(address, headers=headers)
            assert (answer.status_code, answer.headers.get("Set-Cookie")) == (200, None)

    def test_while_the_database_is_away_is_what_is_known(self, gateway: FakeGateway, browser: PageClient) -> None:
        token = browser.csrf_token()
        gateway.ended_sessions.failure = StoreUnavailable("away")
        gateway.services.access.sessions._ended._known._clock = lambda: time.monotonic() + 2 * FRESH_SECONDS
        assert browser.get("/settings").status_code == 200, "known within the time for which keys are"
        answer = browser.post("/sign-out", data={"csrf_token": token})
        assert (answer.status_code, "in this browser alone" in answer.text) == (503, True)
        _ended(browser)
        fresh = browser_of(gateway)
        assert fresh.get("/settings").status_code == 503, "nothing is known of it"


class TestChanging:
    def test_needs_the_token_of_a_page(self, browser: PageClient) -> None:
        for wrong in (None, "", "wrong"):
            assert_problem(_rename(browser, wrong), 403, "csrf_token_wrong")
        assert _rename(browser, browser.csrf_token()).status_code == 200

    def test_goes_on_in_a_page_of_before_when_the_same_key_has_signed_in_again(self, browser: PageClient) -> None:
        """What somebody typed while a session ended is not lost: they sign in beside it, and send it then."""
        before = browser.csrf_token()
        browser.post("/sign-out", data={"csrf_token": before})
        assert_problem(_rename(browser, before), 401, "unauthenticated")
        browser.sign_in()
        assert _rename(browser, before).status_code == 200

    def test_is_not_done_in_somebody_elses_name(self, gateway: FakeGateway, browser: PageClient) -> None:
        before = browser.csrf_token()
        gateway.keys.insert(key_of(OTHER, [Scope.ADMIN]))
        browser.post("/sign-out", data={"csrf_token": before})
        browser.sign_in(OTHER)
        assert_problem(_rename(browser, before), 403, "csrf_token_wrong")

    def test_with_a_key_in_the_header_needs_none(self, gateway: FakeGateway, browser: PageClient) -> None:
        """Programs show their key themselves; a cookie beside it counts for nothing."""
        headers = {"Authorization": f"Bearer {OTHER}"}
        assert browser.get("/api/v1/models", headers={**headers, "Accept": "*/*"}).status_code != 200
        gateway.keys.insert(key_of(OTHER, [Scope.MODELS_MANAGE]))
        answer = browser.patch(f"{SEGMENTS}/seg-01", json={"owner": "Ada"}, headers=headers)
        assert answer.status_code == 200
        assert gateway.logged()[0]["actor"]["id"] == "000000000007"


class TestOnce:
    def _make(self, gateway: FakeGateway, **options: Any) -> str:
        return gateway.services.access.one_time_tokens.make(ADMIN_ID, **options)

    def test_an_address_signs_in_once(self, gateway: FakeGateway) -> None:
        token, browser = self._make(gateway), browser_of(gateway, None)
        assert browser.post("/sign-in", data={"once": token}).headers["Location"] == "/overview"
        assert browser.get("/settings").status_code == 200
        again = browser_of(gateway, None).post("/sign-in", data={"once": token})
        assert (again.status_code, "has signed somebody in before" in again.text) == (401, True)
        assert token not in again.text

    def test_whoever_opens_it_again_is_where_it_led_to(self, gateway: FakeGateway) -> None:
        token, browser = self._make(gateway), browser_of(gateway, None)
        assert [browser.post("/sign-in", data={"once": token}).status_code for _ in range(2)] == [303, 303]

    def test_too_late_is_too_late(self, gateway: FakeGateway, later: Later) -> None:
        token = self._make(gateway)
        later(LIFETIME)
        assert browser_of(gateway, None).post("/sign-in", data={"once": token}).status_code == 401

    def test_it_opens_nothing_else(self, gateway: FakeGateway) -> None:
        token, browser = self._make(gateway), browser_of(gateway, None)
        assert browser.sign_in(token).status_code == 401
        headers = {"Authorization": f"Bearer {token}", "Accept": "*/*", "Sec-Fetch-Mode": "cors"}
        assert browser.get("/api/v1/models", headers=headers).status_code == 401
        assert "Set-Cookie" not in browser.get(f"/sign-in/once?once={token}").headers, (
            "it never stands in a query string"
        )

    def test_it_ends_with_its_key(self, gateway: FakeGateway) -> None:
        token = self._make(gateway)
        gateway.services.api_keys.revoke(ADMIN_ID)
        assert browser_of(gateway, None).post("/sign-in", data={"once": token}).status_code == 401
        with pytest.raises(ApiKeyUnusable):
            self._make(gateway)
        with pytest.raises(ApiKeyNotFound):
            gateway.services.access.one_time_tokens.make("nobody")

    def test_what_is_stored_is_no_token(self, gateway: FakeGateway) -> None:
        token = self._make(gateway)
        assert token not in str(gateway.one_time_tokens.tokens)


def test_a_session_of_a_rotated_key_that_was_begun_with_the_new_secret_goes_on(gateway: FakeGateway) -> None:
    parsed = parse_key(OTHER)
    assert parsed
    key = gateway.keys.keys[ADMIN_ID]
    assert gateway.keys.rotate(key, Rotation(parsed[1], datetime(2020, 1, 1), datetime(2200, 1, 1)))
    browser = browser_of(gateway, OTHER.replace("000000000007", ADMIN_ID))
    assert browser.get("/settings").status_code == 200


@pytest.mark.parametrize("path", ["/\\evil.test/a", "//evil.test/a", "///evil.test/a", "/\t/evil.test/a", "/a b/ü?%"])
def test_trying_an_address_again_leads_to_that_address_and_no_other_host(browser: PageClient, path: str) -> None:
    answer = browser.get("/", environ_overrides={"PATH_INFO": path.encode().decode("latin-1")})
    link = re.search('href="([^"]*)">Try again', answer.text)
    assert (answer.status_code, link is not None) == (404, True)
    assert link
    again = urlsplit(urljoin("http://here/page", link[1].replace("\\", "/")))
    assert (again.netloc, unquote(again.path)) == ("here", "/" + path.lstrip("/"))
