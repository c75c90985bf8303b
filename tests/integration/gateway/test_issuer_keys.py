"""The issuer's keys from a real server: discovery, rotation, and an issuer that is away, hangs or talks nonsense."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from support.issuer import AUDIENCE, DISCOVERY, JWKS, Issuer, jwk, running_issuer, token, unnamed
from support.problems import assert_problem
from support.scripted_server import http
from support.servers import free_port

from gateway.data_access.oidc import issuer_keys, trusted_issuer
from gateway.data_access.oidc.bearer_tokens import BearerTokens, Trust
from gateway.data_access.oidc.issuer_keys import FETCH_TIMEOUT, FRESH_SECONDS, GRACE_SECONDS, PAUSE_SECONDS, IssuerKeys
from gateway.services.errors import IssuerMisconfigured, IssuerUnavailable, Unauthenticated
from gateway.settings import Settings
from gateway.wiring import assemble

ALGORITHMS = ("RS256", "ES256")


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> IssuerKeys:
    return IssuerKeys(issuer.url, None, ALGORITHMS, clock)


def _holds(keys: IssuerKeys, key_id: str, algorithm: str = "RS256") -> bool:
    return keys.get(key_id, algorithm) is not None


def _settled(keys: IssuerKeys) -> None:
    """Wait for the fetch that runs in the background, if one does."""
    if fetch := keys._fetching:
        assert fetch.wait(10)


def test_a_real_token_is_checked_with_keys_that_discovery_finds(issuer: Issuer) -> None:
    tokens, _ = trusted_issuer(Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE))
    assert tokens is not None
    assert tokens.principal(token(issuer.url)).id == "ann"
    with pytest.raises(Unauthenticated):
        tokens.principal(token(issuer.url, "second"))
    assert (issuer.asked(DISCOVERY), issuer.asked(JWKS)) == (1, 1)


def test_nobody_is_trusted_unless_configured() -> None:
    assert trusted_issuer(Settings()) == (None, None)


def test_an_address_of_the_keys_makes_discovery_needless(issuer: Issuer) -> None:
    assert _holds(IssuerKeys(issuer.url, issuer.url + JWKS, ALGORITHMS), "first")
    assert issuer.asked(DISCOVERY) == 0


class TestFetching:
    def test_happens_once_for_many_requests(self, issuer: Issuer, keys: IssuerKeys) -> None:
        for _ in range(10):
            assert _holds(keys, "first")
        assert issuer.asked() == 1

    def test_is_not_repeated_for_made_up_keys(self, issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
        for number in range(50):
            assert not _holds(keys, f"made up {number}")
        assert issuer.asked() == 1
        clock.at += PAUSE_SECONDS
        for number in range(50):
            assert not _holds(keys, f"made up {number}")
        assert issuer.asked() == 2

    def test_finds_a_key_that_the_issuer_has_added(self, issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
        assert _holds(keys, "first")
        issuer.keys.append(jwk("second"))
        clock.at += PAUSE_SECONDS
        assert _holds(keys, "second")
        assert _holds(keys, "first")

    def test_drops_a_key_that_the_issuer_has_withdrawn(self, issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
        assert _holds(keys, "first")
        issuer.keys[:] = [jwk("second")]
        clock.at += FRESH_SECONDS
        assert _holds(keys, "first")  # nobody waits for what is fetched behind the scenes
        _settled(keys)
        assert not _holds(keys, "first")
        assert _holds(keys, "second")


class TestWhichKeys:
    @pytest.mark.parametrize(
        ("published", "held"),
        [
            ([jwk("first")], {("first", "RS256")}),
            ([jwk("first", alg="RS256")], {("first", "RS256")}),
            ([jwk("first", alg="RS512")], set()),
            ([jwk("first", use="enc")], set()),
            ([jwk("curve")], {("curve", "ES256")}),
            ([jwk("curve", alg="RS256")], set()),
            ([jwk("first", kid=None)], set()),
            ([jwk("first", use="tls")], set()),
            ([jwk("first", key_ops=["verify"])], {("first", "RS256")}),
            ([jwk("first", key_ops=["sign"])], set()),
            ([jwk("first", n=5), jwk("curve", x="%", y=[])], set()),
            ([jwk("first"), jwk("curve", x=5)], {("first", "RS256")}),
            ([unnamed("first")], {("first", "RS256"), ("curve", "RS256")}),
            ([jwk("first", kid=5)], set()),
            ([{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}], set()),
            ([{"kty": "oct", "kid": "first", "k": "c2VjcmV0", "alg": "RS256"}], set()),
            ([{"kid": "first"}, {"kty": "RSA", "kid": "first"}, {"kty": "EC", "kid": "first", "crv": "P-256"}], set()),
            ([5, None, "first", [], jwk("first")], {("first", "RS256")}),
            ([], set()),
        ],
    )
    def test_are_those_that_can_check_a_signature(
        self, issuer: Issuer, keys: IssuerKeys, published: list, held: set[tuple[str, str]]
    ) -> None:
        issuer.keys[:] = published
        asked = {(name, algorithm) for name in ("first", "curve") for algorithm in ("RS256", "ES256", "HS256", "none")}
        assert {pair for pair in asked if _holds(keys, *pair)} == held


class TestAnIssuerThatIsAway:
    def test_leaves_known_keys_in_force(self, issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
        assert _holds(keys, "first")
        issuer.broken = http("away", "503 Service Unavailable")
        for _ in range(5):
            clock.at += FRESH_SECONDS
            assert _holds(keys, "first")
            _settled(keys)
        with pytest.raises(IssuerUnavailable):
            keys.get("second", "RS256")
        clock.at += GRACE_SECONDS
        with pytest.raises(IssuerUnavailable):
            keys.get("first", "RS256")
        issuer.broken = None
        clock.at += PAUSE_SECONDS
        assert _holds(keys, "first")

    def test_is_not_asked_again_at_once(self, issuer: Issuer, keys: IssuerKeys) -> None:
        issuer.broken = http("away", "503 Service Unavailable")
        for _ in range(10):
            with pytest.raises(IssuerUnavailable):
                keys.get("first", "RS256")
        assert len(issuer.server.requests) == 1

    def test_answers_nobody(self, clock: Clock) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(IssuerUnavailable):
            IssuerKeys(url, None, ALGORITHMS, clock).get("first", "RS256")

    @pytest.mark.parametrize(
        "answer",
        [
            http("nonsense"),
            http("[]"),
            http("{}"),
            http('{"keys": 5}'),
            http('{"issuer": 5, "jwks_uri": 5, "keys": null}'),
            http("{}", "302 Found", "Location: https://evil.example/\r\n"),
            http(b" " * (1024 * 1024 + 1)),
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ncut off",
            b"nonsense\r\n\r\n",
        ],
        ids=range(9),
    )
    def test_or_talks_nonsense(self, issuer: Issuer, clock: Clock, answer: bytes) -> None:
        issuer.broken = answer
        for jwks_url in (None, issuer.url + JWKS):
            with pytest.raises(IssuerUnavailable):
                IssuerKeys(issuer.url, jwks_url, ALGORITHMS, clock).get("first", "RS256")


OTHERS = {
    "a slash too many in the setting": (lambda url: f"{url}/", lambda url: url),
    "a slash too few in the setting": (lambda url: url, lambda url: f"{url}/"),
    "another realm": (lambda url: url, lambda url: f"{url}/{{tenantid}}"),
    "another issuer": (lambda url: url, lambda _: "https://evil.example"),
}


@pytest.mark.parametrize(("setting", "name"), OTHERS.values(), ids=OTHERS)
class TestAnIssuerOfAnotherName:
    """OpenID Connect Discovery section 4.3: the two must be identical. No other attempt changes that."""

    def test_is_a_wrong_setting(self, issuer: Issuer, clock: Clock, setting: Any, name: Any) -> None:
        issuer.name = name(issuer.url)
        keys = IssuerKeys(setting(issuer.url), None, ALGORITHMS, clock)
        for _ in range(3):
            with pytest.raises(IssuerMisconfigured):
                keys.get("first", "RS256")
            with pytest.raises(IssuerMisconfigured):
                keys.get(None, "RS256")
        assert (issuer.asked(DISCOVERY), issuer.asked(JWKS)) == (1, 0)
        issuer.name = setting(issuer.url)
        clock.at += PAUSE_SECONDS
        assert _holds(keys, "first")

    def test_is_told_when_the_application_starts(
        self, issuer: Issuer, setting: Any, name: Any, capfd: pytest.CaptureFixture[str]
    ) -> None:
        issuer.name = name(issuer.url)
        settings = Settings(oidc_issuer=setting(issuer.url), oidc_audience=AUDIENCE)
        tokens, _ = trusted_issuer(settings)
        assert tokens is not None
        gateway = FakeGateway()
        gateway.services = assemble(gateway.stores, gateway.model, gateway.registry, settings, tokens)
        assert gateway.app
        _settled(tokens._keys)
        (line,) = [line for line in capfd.readouterr().err.splitlines() if "OIDC_ISSUER is wrong" in line]
        assert '"level":"ERROR"' in line
        assert f"it is {setting(issuer.url)!r}," in line
        assert line.endswith(f'{name(issuer.url)!r}"}}')
        headers = {"Authorization": f"Bearer {token(setting(issuer.url))}"}
        assert_problem(gateway.anonymous.get(CUSTOMERS, headers=headers), 500, "issuer_misconfigured")


def test_an_issuer_without_ids_is_followed_through_a_change_of_its_key(issuer: Issuer, clock: Clock) -> None:
    issuer.keys[:] = [unnamed("first")]
    settings = Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE)
    tokens = BearerTokens(
        Trust(issuer.url, AUDIENCE, settings.oidc_algorithms), IssuerKeys(issuer.url, None, ALGORITHMS, clock)
    )
    for headers in ({"kid": None}, {"kid": "any"}):
        assert tokens.principal(token(issuer.url, headers=headers)).id == "ann"
    issuer.keys[:] = [unnamed("second")]
    clock.at += PAUSE_SECONDS
    for _ in range(5):
        assert tokens.principal(token(issuer.url, "second", {"kid": None})).id == "ann"
    for number in range(5):
        with pytest.raises(Unauthenticated):
            tokens.principal(token(issuer.url, "third", {"kid": None}, sub=f"u{number}"))
    assert issuer.asked(JWKS) == 2, "forged tokens make nobody ask the issuer without pause"


class TestAnIssuerThatHangs:
    def test_holds_a_request_only_for_a_while(
        self, issuer: Issuer, keys: IssuerKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(issuer_keys, "WAIT_SECONDS", 0.2)
        issuer.hangs = True
        for _ in range(2):
            with pytest.raises(IssuerUnavailable):
                keys.get("first", "RS256")
        assert len(issuer.server.requests) <= 1
        clock.at += FETCH_TIMEOUT
        issuer.hangs = False
        monkeypatch.setattr(issuer_keys, "WAIT_SECONDS", 10)
        assert _holds(keys, "first")

    def test_holds_no_request_that_knows_its_key(self, issuer: Issuer, keys: IssuerKeys, clock: Clock) -> None:
        assert _holds(keys, "first")
        issuer.hangs = True
        clock.at += FRESH_SECONDS
        for _ in range(issuer_keys.MOST_WAITING):
            keys._waiting.acquire()  # whoever has to wait now is refused
        assert all(_holds(keys, "first") for _ in range(100))

    def test_holds_few_requests_at_the_same_time(
        self, issuer: Issuer, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(issuer_keys, "WAIT_SECONDS", 60)
        issuer.hangs = True
        refused = []

        def ask() -> None:
            with pytest.raises(IssuerUnavailable):
                keys.get("first", "RS256")
            refused.append("first")

        waiting = [threading.Thread(target=ask) for _ in range(issuer_keys.MOST_WAITING)]
        for thread in waiting:
            thread.start()
        while keys._waiting._value > 0:
            time.sleep(0.001)
        with pytest.raises(IssuerUnavailable):
            keys.get("first", "RS256")
        assert refused == []
        issuer.server.stopping.set()  # ends the hang
        for thread in waiting:
            thread.join(10)
        assert len(refused) == issuer_keys.MOST_WAITING
