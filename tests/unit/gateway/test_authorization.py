"""Who may call what: every route of the application against every kind of key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from fakes.api_keys import ADMIN_KEY, key_of
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.addresses import example_of, routes_of
from support.problems import assert_problem
from support.sessions import PageClient, browser_of

from gateway.pages.rendering import NAVIGATION
from gateway.routes import registered_pages
from gateway.services.access.rate_limits import Rate
from gateway.services.errors import StoreUnavailable
from gateway.services.principal import Principal, Scope
from gateway.settings import Settings

REALM = 'Bearer realm="customer-segmentation"'
REFUSED = 'Bearer realm="customer-segmentation", error="invalid_token"'
PAST, FUTURE = datetime(2020, 1, 1), datetime(2200, 1, 1)


class Address(NamedTuple):
    """A route that can be asked: the method, a path that fits, and the scope that it names."""

    method: str
    path: str
    scope: Scope | None


def _addresses() -> Iterator[Address]:
    """Every route of the application, so that a new one is asked as well."""
    app = FakeGateway().app
    for rule, route in routes_of(app):
        path = re.sub(r"<(?:\w+(?:\(([^)]*)\))?:)?\w+>", _example, rule)
        yield Address(route.method, path, route.scope)
        if route.method == "GET":
            yield Address("HEAD", path, route.scope)


class Page(NamedTuple):
    """A page that can be looked at, and the scopes of which one opens it."""

    path: str
    scopes: frozenset[Scope]


def _pages() -> Iterator[Page]:
    """Every page that needs a session."""
    for route in registered_pages(FakeGateway().app):
        if route.scope is not None:
            yield Page(example_of(route.path), frozenset((route.scope, *route.or_scopes)))


def _example(variable: re.Match[str]) -> str:
    if variable[1]:  # any(…): one of these
        return variable[1].split(",")[0].strip("'\"")
    return "active" if variable[0].startswith("<version:") else "x1"


def _unlimited() -> FakeGateway:
    """A gateway that takes any number of failed attempts from an address, and whose metrics need a key."""
    endless = (Rate(10**9, 60),)
    limits = {"rate_limit": endless, "rate_limit_bulk": endless, "rate_limit_anonymous": endless}
    return FakeGateway(Settings(**limits, metrics_networks=()))


ADDRESSES = sorted(_addresses())
GUARDED = [address for address in ADDRESSES if address.scope is not None]


def _text(number: int) -> str:
    return f"csk_{number:012d}_{'k' * 43}"


KEYS = {scope: _text(number) for number, scope in enumerate(Scope)}
"""A key for each scope that has no other."""
EXPIRED, REVOKED, ROTATED, WRONG = (_text(number) for number in range(100, 104))


@pytest.fixture(scope="module")
def gateway() -> FakeGateway:
    """A gateway that knows all of these keys; what the routes do to its customers does not matter."""
    gateway = _unlimited()
    everything = list(Scope)
    for scope, text in KEYS.items():
        gateway.keys.insert(key_of(text, [scope]))
    gateway.keys.insert(key_of(EXPIRED, everything, expires_at=PAST))
    gateway.keys.insert(replace(key_of(REVOKED, everything), revoked_at=PAST))
    old = key_of(ROTATED, everything)
    gateway.keys.insert(replace(old, digest=b"new" * 10, old_digest=old.digest, old_until=PAST))
    gateway.keys.insert(replace(key_of(WRONG, everything), digest=b"another" * 4))
    return gateway


@pytest.fixture(scope="module")
def browsers(gateway: FakeGateway) -> Mapping[Scope, PageClient]:
    """A browser for each kind of key, signed in."""
    return {scope: browser_of(gateway, key) for scope, key in KEYS.items()}


def _ask(gateway: FakeGateway, address: Address, authorization: str | None):
    headers = {} if authorization is None else {"Authorization": authorization}
    return gateway.anonymous.open(address.path, method=address.method, headers=headers)


def _name(address: object) -> str:
    return f"{address.method} {address.path}" if isinstance(address, Address) else str(address)


def test_the_matrix_has_every_route() -> None:
    app = FakeGateway().app
    pages = {route.path for route in registered_pages(app)}
    rules = [(rule.rule, method) for rule in app.url_map.iter_rules() for method in rule.methods or ()]
    api = [method for rule, method in rules if method != "OPTIONS" and rule not in pages]
    assert len(api) == len(ADDRESSES)
    assert len(ADDRESSES) > 40


def test_few_routes_are_open_to_anybody() -> None:
    open_to_all = {address.path.split("/")[1] for address in ADDRESSES if address.scope is None}
    assert open_to_all <= {"", "health", "docs", "openapi.json", "openapi"}


@pytest.mark.parametrize("address", GUARDED, ids=_name)
class TestMatrix:
    def test_without_a_key(self, gateway: FakeGateway, address: Address) -> None:
        answer = _ask(gateway, address, None)
        assert answer.headers["WWW-Authenticate"] == REALM
        if address.method == "HEAD":
            assert answer.status_code == 401
        else:
            assert_problem(answer, 401, "unauthenticated")

    @pytest.mark.parametrize(
        "key",
        [EXPIRED, REVOKED, ROTATED, WRONG, _text(999), "csk_", "nonsense", ""],
        ids=["expired", "revoked", "rotated away", "wrong secret", "unknown", "cut off", "nonsense", "empty"],
    )
    def test_with_a_key_that_does_not_hold(self, gateway: FakeGateway, address: Address, key: str) -> None:
        answer = _ask(gateway, address, f"Bearer {key}")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, REFUSED)

    @pytest.mark.parametrize("scope", Scope)
    def test_with_a_key_for_one_scope(self, gateway: FakeGateway, address: Address, scope: Scope) -> None:
        answer = _ask(gateway, address, f"Bearer {KEYS[scope]}")
        if scope in (address.scope, Scope.ADMIN):
            assert answer.status_code not in (401, 403)
            return
        assert answer.status_code == 403
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge == f'{REALM}, error="insufficient_scope", scope="{address.scope}"'
        if address.method != "HEAD":
            detail = assert_problem(answer, 403, "insufficient_scope")["detail"]
            assert detail == f"This needs the scope '{address.scope}'."


@pytest.mark.parametrize("address", [a for a in ADDRESSES if a.scope is None], ids=_name)
def test_open_routes_ask_for_nothing(gateway: FakeGateway, address: Address) -> None:
    assert {_ask(gateway, address, shown).status_code < 400 for shown in (None, f"Bearer {WRONG}")} == {True}


@pytest.mark.parametrize("path", sorted({address.path for address in ADDRESSES}))
def test_options_never_need_a_key(gateway: FakeGateway, path: str) -> None:
    answer = gateway.anonymous.options(path)
    assert answer.status_code in (200, 204)
    assert "OPTIONS" in answer.headers["Allow"]


def test_every_refusal_reads_the_same(gateway: FakeGateway) -> None:
    said = set()
    for key in (EXPIRED, REVOKED, ROTATED, WRONG, _text(999), "csk_", "nonsense"):
        body = dict(gateway.anonymous.get(CUSTOMERS, headers={"Authorization": f"Bearer {key}"}).json)
        body.pop("request_id")
        said.add(str(body))
    assert len(said) == 1
    assert "csk" not in said.pop()


class TestHeader:
    @pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer    "])
    def test_has_its_scheme_in_any_case(self, gateway: FakeGateway, scheme: str) -> None:
        assert gateway.anonymous.get(CUSTOMERS, headers={"Authorization": scheme + ADMIN_KEY}).status_code == 200

    @pytest.mark.parametrize(
        "other", ["", ADMIN_KEY, f"Basic {ADMIN_KEY}", f"Token {ADMIN_KEY}", f"Bearer:{ADMIN_KEY}"]
    )
    def test_of_another_scheme_shows_nothing(self, gateway: FakeGateway, other: str) -> None:
        answer = gateway.anonymous.get(CUSTOMERS, headers={"Authorization": other})
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == REALM

    @pytest.mark.parametrize(
        "token",
        [f"{ADMIN_KEY} x", f"{ADMIN_KEY},Bearer {ADMIN_KEY}", f"{ADMIN_KEY}x", ADMIN_KEY[:-1], ADMIN_KEY.upper()],
    )
    def test_holds_one_key_and_nothing_else(self, gateway: FakeGateway, token: str) -> None:
        answer = gateway.anonymous.get(CUSTOMERS, headers={"Authorization": f"Bearer {token}"})
        assert_problem(answer, 401, "unauthenticated")

    def test_twice_is_refused(self, gateway: FakeGateway) -> None:
        twice = [("Authorization", f"Bearer {ADMIN_KEY}")] * 2
        assert gateway.anonymous.get(CUSTOMERS, headers=twice).status_code == 401

    @pytest.mark.parametrize("place", [f"?access_token={ADMIN_KEY}", f"?key={ADMIN_KEY}"])
    def test_is_the_only_place(self, gateway: FakeGateway, place: str) -> None:
        assert gateway.anonymous.get(CUSTOMERS + place, headers={"X-API-Key": ADMIN_KEY}).status_code == 401

    @given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=200))
    def test_may_say_anything(self, text: str) -> None:
        for header in (text, f"Bearer {text}", f"Bearer csk_{text}"):
            assert SHARED.anonymous.get(CUSTOMERS, headers={"Authorization": header}).status_code == 401


PAGES = sorted(_pages())


def _page_name(page: Page) -> str:
    return page.path


class TestPagesForPeople:
    """The same matrix for the pages, which answer with pages, and know people by their sessions."""

    @pytest.mark.parametrize("page", PAGES, ids=_page_name)
    def test_who_has_not_signed_in_is_led_to_where_one_does_and_back(self, gateway: FakeGateway, page: Page) -> None:
        answer = browser_of(gateway, None).get(f"{page.path}?x=%26")
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/sign-in?{urlencode({'next': f'{page.path}?x=%26'})}"

    @pytest.mark.parametrize("page", PAGES, ids=_page_name)
    def test_a_key_that_does_not_hold_is_a_problem_for_programs(self, gateway: FakeGateway, page: Page) -> None:
        assert_problem(_ask(gateway, Address("GET", page.path, None), f"Bearer {EXPIRED}"), 401, "unauthenticated")

    @pytest.mark.parametrize("scope", Scope)
    def test_each_key_opens_the_pages_that_name_its_scope(
        self, gateway: FakeGateway, browsers: Mapping[Scope, PageClient], scope: Scope
    ) -> None:
        for page in PAGES:
            answer = browsers[scope].get(page.path)
            opens = scope in page.scopes or scope is Scope.ADMIN
            assert (answer.status_code == 403) is not opens, page.path
            assert answer.status_code != 303, page.path
            if not opens:
                assert answer.mimetype == "text/html"
                assert "You are not allowed to do this" in answer.text

    @pytest.mark.parametrize("scope", Scope)
    def test_what_the_navigation_offers_opens(self, browsers: Mapping[Scope, PageClient], scope: Scope) -> None:
        offered = [room.address for room in NAVIGATION if scope in room.scopes or scope is Scope.ADMIN]
        for address in {page.path for page in PAGES}.intersection(offered):
            answer = browsers[scope].get(address)
            assert answer.status_code not in (401, 403), address
            assert re.findall('<li><a href="([^"]+)"', answer.text)[: len(offered)] == offered

    def test_few_pages_are_open_to_anybody(self) -> None:
        open_to_all = {route.path for route in registered_pages(FakeGateway().app) if route.scope is None}
        assert {path for path in open_to_all if not path.startswith("/sign-in")} == {
            "/static/<digest>/<name>",
            "/sign-out",
        }


SHARED = _unlimited()
"""For hypothesis, which would build one for every example."""


def test_the_key_is_checked_before_anything_else(gateway: FakeGateway) -> None:
    """An anonymous caller learns nothing of the rules, and no body is read."""
    answer = gateway.anonymous.post(f"{CUSTOMERS}?nonsense=1", data=b"x" * 5_000_000, content_type="text/plain")
    assert_problem(answer, 401, "unauthenticated")


def test_an_unknown_address_needs_no_key(gateway: FakeGateway) -> None:
    assert_problem(gateway.anonymous.get("/api/v1/nothing"), 404, "not_found")
    assert_problem(gateway.anonymous.put(CUSTOMERS), 405, "method_not_allowed")


def test_without_the_database_an_unknown_key_cannot_be_judged() -> None:
    gateway = FakeGateway()
    gateway.keys.failure = StoreUnavailable("away")
    answer = gateway.client.get(CUSTOMERS)
    assert_problem(answer, 503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert "WWW-Authenticate" not in answer.headers


def test_without_the_database_a_known_key_opens_what_needs_none() -> None:
    gateway = FakeGateway()
    assert gateway.client.get("/api/v1/models").status_code == 200
    gateway.keys.failure = gateway.store.failure = StoreUnavailable("away")
    assert gateway.client.get("/api/v1/models").status_code == 200


@pytest.mark.parametrize("scope", Scope)
def test_only_administrators_may_do_everything(scope: Scope) -> None:
    principal = Principal("api_key", "x", "x", frozenset({scope}))
    assert {other for other in Scope if principal.may(other)} == (set(Scope) if scope is Scope.ADMIN else {scope})
