"""People sign in at an issuer, over real HTTP to it: who they are then, and every answer that signs nobody in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from fakes.gateway import FakeGateway
from support.issuer import AUDIENCE, CLIENT_ID, CLIENT_SECRET, DISCOVERY, TOKEN, Issuer, running_issuer
from support.scripted_server import http
from support.sessions import PageClient, browser_of
from werkzeug.test import TestResponse

from gateway.data_access.oidc import trusted_issuer
from gateway.settings import Settings

SCOPES = "models:read customers:read"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        issuer.says["scope"] = SCOPES
        yield issuer


def _gateway(issuer: Issuer, secret: str = CLIENT_SECRET) -> FakeGateway:
    settings = Settings(
        oidc_issuer=issuer.url, oidc_audience=AUDIENCE, oidc_client_id=CLIENT_ID, oidc_client_secret=secret
    )
    _, sign_in = trusted_issuer(settings)
    return FakeGateway(settings, issuer=sign_in)


@pytest.fixture
def browser(issuer: Issuer) -> PageClient:
    """A browser of somebody who has not signed in."""
    return browser_of(_gateway(issuer), None)


def _to_issuer(browser: PageClient, following: str = "") -> str:
    """Let the browser go to the issuer; return the address that it is sent back to."""
    begun = browser.get("/sign-in/issuer", query_string={"next": following} if following else {})
    assert begun.status_code == 303, begun.text
    back = requests.get(begun.headers["Location"], allow_redirects=False, timeout=5).headers["Location"]
    assert back.startswith("http://localhost/sign-in/callback?")
    return back


def _back(browser: PageClient, address: str) -> TestResponse:
    return browser.get(urlsplit(address).path, query_string=urlsplit(address).query)


def _refused(answer: TestResponse, words: str = "You have not been signed in", status: int = 401) -> None:
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert words in answer.text
    assert "session=ey" not in str(answer.headers)


def test_whoever_the_issuer_names_is_signed_in_with_what_it_allows(issuer: Issuer, browser: PageClient) -> None:
    assert 'href="/sign-in/issuer?next=/segments/seg-01"' in browser.get("/sign-in?next=/segments/seg-01").text
    answer = _back(browser, _to_issuer(browser, "/segments/seg-01?x=1"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/segments/seg-01?x=1")
    assert {"openid", "profile"} == {*issuer.sent[0]["scope"].split()}
    assert (issuer.sent[0]["audience"], issuer.sent[0]["code_challenge_method"]) == (AUDIENCE, "S256")
    assert "Ann Example" in browser.get("/settings").text
    assert browser.get("/api/v1/models").status_code == 200
    assert browser.get("/settings/keys").status_code == 403
    assert browser.get("/sign-in").headers["Location"] == "/overview"


def test_a_change_by_somebody_at_the_issuer_is_theirs(issuer: Issuer) -> None:
    issuer.says["scope"] = "models:read models:manage"
    gateway = _gateway(issuer)
    browser = browser_of(gateway, None)
    _back(browser, _to_issuer(browser))
    sent = {"json": {"name": "Others"}, "headers": {"X-CSRF-Token": browser.csrf_token()}}
    assert browser.patch("/api/v1/segments/seg-01", **sent).status_code == 200
    assert gateway.logged()[0]["actor"] == {"kind": "token", "id": "ann", "name": "Ann Example"}


@pytest.mark.parametrize(
    "says", [{"nonce": "another"}, {"aud": "another"}, {"azp": "another"}, {"iss": "http://another"}, {"exp": 1}]
)
def test_an_id_token_for_anything_else_signs_nobody_in(
    issuer: Issuer, browser: PageClient, says: dict[str, object]
) -> None:
    issuer.says_of_sign_in = says
    _refused(_back(browser, _to_issuer(browser)))


@pytest.mark.parametrize("says", [{"aud": "another"}, {"exp": 1}])
def test_an_access_token_for_another_service_signs_nobody_in(
    issuer: Issuer, browser: PageClient, says: dict[str, object]
) -> None:
    issuer.says |= says
    _refused(_back(browser, _to_issuer(browser)))


@pytest.mark.parametrize(
    "changed", [{"state": "another"}, {"code": "another"}, {"code": ""}, {"iss": "http://another"}]
)
def test_an_answer_to_another_attempt_signs_nobody_in(browser: PageClient, changed: dict[str, str]) -> None:
    address = urlsplit(_to_issuer(browser))
    _refused(browser.get(address.path, query_string={**dict(parse_qsl(address.query)), **changed}))


def test_nobody_is_signed_in_with_the_answer_of_somebody_elses_browser(issuer: Issuer) -> None:
    """Login CSRF: an address with an attacker's code, in the browser of somebody else."""
    gateway = _gateway(issuer)
    attackers = _to_issuer(browser_of(gateway, None))
    victim = browser_of(gateway, None)
    _refused(_back(victim, attackers))
    _to_issuer(victim)
    _refused(_back(victim, attackers))


def test_an_answer_counts_once(browser: PageClient) -> None:
    address = _to_issuer(browser)
    assert _back(browser, address).status_code == 303
    _refused(_back(browser, address))


def test_whoever_cancels_is_asked_again(browser: PageClient) -> None:
    _to_issuer(browser)
    _refused(browser.get("/sign-in/callback?error=access_denied&error_description=%3Cb%3Eevil&state=x"))


@pytest.mark.parametrize("wrong", ["fails", "no JSON", "no addresses", "plain HTTP", "another name"])
def test_an_issuer_that_is_away_or_wrong_is_told_and_the_form_stays(
    issuer: Issuer, browser: PageClient, wrong: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if wrong == "another name":
        issuer.name = issuer.url + "/"
    elsewhere = "http://elsewhere.example/"
    endpoints = {"authorization_endpoint": elsewhere, "token_endpoint": elsewhere} if wrong == "plain HTTP" else {}
    said = json.dumps({"issuer": issuer.url, **endpoints})
    broken = {
        "fails": http("", "500 Internal Server Error"),
        "no JSON": http("<html>"),
        "no addresses": http(said),
        "plain HTTP": http(said),
    }
    issuer.broken = broken.get(wrong)
    answer = browser.get("/sign-in/issuer")
    _refused(answer, "does not work at the moment", 500 if wrong == "another name" else 503)
    assert 'name="key"' in answer.text
    assert "sign in" in capfd.readouterr().err


@pytest.mark.parametrize(("refuses", "status"), [("invalid_grant", 401), ("invalid_client", 500)])
def test_what_the_issuer_refuses_is_told_apart(
    issuer: Issuer, browser: PageClient, refuses: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    issuer.refuses = refuses
    _refused(_back(browser, _to_issuer(browser)), "", status)
    assert ("OIDC_CLIENT_ID or its secret" in capfd.readouterr().err) is (status == 500)


def test_a_wrong_secret_is_no_sign_in(issuer: Issuer) -> None:
    browser = browser_of(_gateway(issuer, "wrong"), None)
    _refused(_back(browser, _to_issuer(browser)))


def test_an_issuer_that_goes_away_meanwhile_is_told(issuer: Issuer, browser: PageClient) -> None:
    address = _to_issuer(browser)
    issuer.broken = http("", "503 Service Unavailable")
    _refused(_back(browser, address), "does not work at the moment", 503)


def test_the_issuers_addresses_are_asked_for_once(issuer: Issuer, browser: PageClient) -> None:
    for _ in range(2):
        _back(browser, _to_issuer(browser))
        browser.post("/sign-out", data={"csrf_token": browser.csrf_token()})
    assert issuer.asked(TOKEN) == 2
    assert issuer.asked(DISCOVERY) <= 2, "once for the addresses, once for the keys"


def test_no_log_has_what_opens_anything(issuer: Issuer, browser: PageClient, capfd: pytest.CaptureFixture[str]) -> None:
    issuer.refuses = "invalid_client"
    _back(browser, first := _to_issuer(browser))
    issuer.refuses = ""
    _back(browser, second := _to_issuer(browser))
    said = "".join(capfd.readouterr())
    assert "/sign-in/callback" in said
    for address in (first, second):
        assert [value for name, value in parse_qsl(urlsplit(address).query) if name != "iss" and value in said] == []
    assert CLIENT_SECRET not in said
    assert "eyJ" not in said
