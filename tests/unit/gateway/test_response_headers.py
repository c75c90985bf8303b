"""What browsers may do with answers: security headers, caching, and pages of other origins."""

from __future__ import annotations

import pytest
from fakes.gateway import CUSTOMERS, MODELS, FakeGateway
from support.customers import stored
from support.problems import assert_problem
from support.sessions import browser_of
from werkzeug.test import TestResponse

from gateway.middleware.cors import RESPONSE_HEADERS
from gateway.settings import Settings

PAGE = "https://crm.example"
POLICY = "default-src 'none'; frame-ancestors 'none'"


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway(settings=Settings(cors_origins=(PAGE, "http://localhost:3000")))
    gateway.store.insert(stored("A"))
    return gateway


class TestSecurity:
    @pytest.mark.parametrize(
        ("path", "status"),
        [("/", 200), (CUSTOMERS, 200), (f"{CUSTOMERS}/A", 200), ("/nowhere", 404), ("/health/live", 200)],
    )
    def test_every_answer_is_guarded(self, gateway: FakeGateway, path: str, status: int) -> None:
        answer = gateway.client.get(path)
        assert answer.status_code == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Server"] == "gateway"

    @pytest.mark.parametrize("path", [f"{MODELS}/active/report", "/docs", "/docs/start.js", CUSTOMERS])
    def test_there_is_one_of_each_header(self, gateway: FakeGateway, path: str) -> None:
        names = [name for name, _ in gateway.client.get(path).headers]
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("path", [f"{MODELS}/active/report", "/docs"])
    def test_a_page_says_itself_what_it_loads(self, gateway: FakeGateway, path: str) -> None:
        assert gateway.client.get(path).headers["Content-Security-Policy"] != POLICY

    def test_transport_security_is_asked_for_over_tls_only(self, gateway: FakeGateway) -> None:
        assert "Strict-Transport-Security" not in gateway.client.get("/").headers
        secure = gateway.client.get("/", base_url="https://localhost")
        assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"

    def test_transport_security_can_be_left_out(self) -> None:
        answer = FakeGateway(settings=Settings(hsts_seconds=0)).client.get("/", base_url="https://localhost")
        assert "Strict-Transport-Security" not in answer.headers

    def test_a_trusted_proxy_says_whether_tls_was_used(self) -> None:
        forwarded = {"X-Forwarded-Proto": "https"}
        for proxies in (0, 1):
            client = FakeGateway(settings=Settings(trusted_proxies=proxies)).client
            assert ("Strict-Transport-Security" in client.get("/", headers=forwarded).headers) is (proxies == 1)


class TestCaching:
    @pytest.mark.parametrize("path", [CUSTOMERS, f"{CUSTOMERS}/B", "/", "/health/live"])
    def test_nothing_is_stored_anywhere(self, gateway: FakeGateway, path: str) -> None:
        assert gateway.client.get(path).headers["Cache-Control"] == "no-store"

    def test_what_has_a_revision_is_asked_for_again(self, gateway: FakeGateway) -> None:
        first = gateway.client.get(f"{CUSTOMERS}/A")
        assert first.headers["Cache-Control"] == "private, no-cache"
        again = gateway.client.get(f"{CUSTOMERS}/A", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.headers["Cache-Control"]) == (304, "private, no-cache")

    def test_nothing_is_stored_by_a_browser_in_which_somebody_may_sign_out(self, gateway: FakeGateway) -> None:
        answer = browser_of(gateway).get(f"{CUSTOMERS}/A")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def _preflight(gateway: FakeGateway, path: str, method: str, headers: str = "", origin: str = PAGE) -> TestResponse:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return gateway.anonymous.options(path, headers=asked)


class TestCrossOrigin:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", CUSTOMERS),
            ("POST", CUSTOMERS),
            ("PUT", f"{CUSTOMERS}/A"),
            ("PATCH", f"{CUSTOMERS}/A"),
            ("DELETE", f"{CUSTOMERS}/A"),
            ("POST", "/api/v1/predictions"),
        ],
    )
    def test_a_browser_may_ask_beforehand_without_a_key(self, gateway: FakeGateway, method: str, path: str) -> None:
        wanted = "authorization, content-type, if-match, idempotency-key"
        answer = _preflight(gateway, path, method, wanted)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert method in answer.headers["Access-Control-Allow-Methods"]
        allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
        assert {name.strip() for name in wanted.split(",")} <= allowed
        assert answer.headers["Access-Control-Max-Age"] == "3600"

    @pytest.mark.parametrize("path", [f"{CUSTOMERS}/A", f"{CUSTOMERS}/nobody", f"{CUSTOMERS}?x=1"])
    def test_a_page_may_read_answers_and_refusals(self, gateway: FakeGateway, path: str) -> None:
        answer = gateway.client.get(path, headers={"Origin": PAGE})
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert set(answer.headers["Access-Control-Expose-Headers"].split(", ")) == set(RESPONSE_HEADERS)
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers

    def test_a_page_learns_that_its_key_does_not_hold(self, gateway: FakeGateway) -> None:
        answer = gateway.anonymous.get(CUSTOMERS, headers={"Origin": PAGE})
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "https://crm.example.evil", "http://crm.example", "null"]
    )
    def test_other_origins_are_not_let_in(self, gateway: FakeGateway, origin: str) -> None:
        for answer in (
            gateway.client.get(CUSTOMERS, headers={"Origin": origin}),
            _preflight(gateway, CUSTOMERS, "POST", origin=origin),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers

    def test_without_the_setting_nobody_is(self) -> None:
        gateway = FakeGateway()
        for answer in (gateway.client.get(CUSTOMERS, headers={"Origin": PAGE}), _preflight(gateway, CUSTOMERS, "GET")):
            assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]

    @pytest.mark.parametrize(
        ("origin", "others"),
        [
            (
                "http://[::1]:3000",
                ["http://:", "http://1:3000", "http://[::1]:30000", "http://[::1]:3000.evil.example"],
            ),
            ("https://crm.example", ["https://crm-example", "https://crmxexample", "https://crm.example.evil.example"]),
            ("https://crm.example", ["https://crm.example:443", "https://xcrm.example", "HTTPS://CRM.EXAMPLE"]),
        ],
    )
    def test_an_origin_is_matched_to_the_letter(self, origin: str, others: list[str]) -> None:
        gateway = FakeGateway(settings=Settings(cors_origins=(origin,)))
        answer = gateway.client.get(CUSTOMERS, headers={"Origin": origin})
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        for other in others:
            for refused in (
                gateway.client.get(CUSTOMERS, headers={"Origin": other}),
                _preflight(gateway, CUSTOMERS, "POST", origin=other),
            ):
                assert "Access-Control-Allow-Origin" not in refused.headers
