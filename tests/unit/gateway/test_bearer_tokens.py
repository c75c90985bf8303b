"""Bearer tokens: which hold, what they give, and every way in which one does not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import bson
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWK
from support.customers import inputs
from support.issuer import AUDIENCE, jwk, private_key, token, unnamed
from support.problems import assert_problem

from gateway.data_access.oidc import bearer_tokens
from gateway.data_access.oidc.bearer_tokens import (
    LEEWAY_SECONDS,
    LONGEST_SUBJECT,
    LONGEST_TOKEN,
    REMEMBERED_SECONDS,
    BearerTokens,
    Trust,
)
from gateway.data_access.oidc.issuer_keys import KeySet
from gateway.services.errors import IssuerMisconfigured, IssuerUnavailable, Unauthenticated
from gateway.services.principal import Scope
from gateway.wiring import assemble

ISSUER = "https://login.example/realm"
TRUST = Trust(ISSUER, AUDIENCE, ("RS256", "ES256"))


class KnownKeys:
    """An issuer's keys without the issuer."""

    def __init__(self, *names: str) -> None:
        self.documents = [jwk(name) for name in names]
        self.asked: list[tuple[str | None, str]] = []
        self.away: type[Exception] | None = None
        self.renewed: list[dict[str, Any]] | None = None

    def begin(self) -> None:
        pass

    def get(self, key_id: str | None, algorithm: str, failed: PyJWK | None = None) -> PyJWK | None:
        self.asked.append((key_id, algorithm))
        if self.away:
            raise self.away
        if failed is not None:
            if self.renewed is None:
                return failed
            self.documents = self.renewed
        return KeySet(self.documents, TRUST.algorithms).find(key_id, algorithm)


def _tokens(keys: KnownKeys | None = None, trust: Trust = TRUST, clock: Any = time.time) -> BearerTokens:
    return BearerTokens(trust, keys or KnownKeys("first", "curve"), clock)  # type: ignore[arg-type]


class TestThatHold:
    @pytest.mark.parametrize("name", ["first", "curve"])
    def test_name_their_holder(self, name: str) -> None:
        principal = _tokens().principal(token(ISSUER, name, sub="u-17", name="Ann"))
        assert (principal.kind, principal.id, principal.name) == ("token", "u-17", "Ann")
        assert principal.scopes == {Scope.CUSTOMERS_READ}

    @pytest.mark.parametrize(
        ("claims", "name"),
        [
            ({"preferred_username": "ann", "email": "ann@bank.example"}, "ann"),
            ({"email": "ann@bank.example"}, "ann@bank.example"),
            ({"client_id": "crm"}, "crm"),
            ({"name": 5}, "u-17"),
            ({"name": "", "email": "ann@bank.example"}, "ann@bank.example"),
            ({"name": " \t ", "client_id": "crm"}, "crm"),
            ({"name": "Zoë 李 👩‍💻"}, "Zoë 李 👩‍💻"),
            ({"name": "x" * 5_000}, "x" * 200),
            ({}, "u-17"),
        ],
        ids=repr,
    )
    def test_are_called_by_the_best_name_there_is(self, claims: dict[str, object], name: str) -> None:
        assert _tokens().principal(token(ISSUER, sub="u-17", **claims)).name == name

    @pytest.mark.parametrize(
        ("claims", "scopes"),
        [
            ({"scope": "customers:read predictions"}, {Scope.CUSTOMERS_READ, Scope.PREDICTIONS}),
            ({"scope": None, "scp": ["admin"]}, {Scope.ADMIN}),
            ({"scope": None, "scp": "admin models:read"}, {Scope.ADMIN, Scope.MODELS_READ}),
            ({"scope": "openid profile root ADMIN"}, set()),
            ({"scope": "", "scp": ["admin"]}, {Scope.ADMIN}),
            ({"scope": "", "scp": "admin models:read"}, {Scope.ADMIN, Scope.MODELS_READ}),
            ({"scope": " \t", "scp": "admin"}, {Scope.ADMIN}),
            ({"scope": [], "scp": "admin"}, {Scope.ADMIN}),
            ({"scope": "openid", "scp": "admin"}, set()),
            ({"scope": "", "scp": ""}, set()),
            ({"scope": None, "scp": ["admin", 5, None, ["admin"]]}, {Scope.ADMIN}),
            ({"scope": {"admin": True}}, set()),
            ({"scope": 5}, set()),
            ({"scope": None}, set()),
        ],
        ids=lambda value: "" if isinstance(value, set) else repr(value),  # a set's order differs from run to run
    )
    def test_give_the_scopes_that_they_name(self, claims: dict[str, object], scopes: set[Scope]) -> None:
        assert _tokens().principal(token(ISSUER, **claims)).scopes == scopes

    def test_give_only_scopes_with_the_prefix(self) -> None:
        tokens = _tokens(trust=Trust(ISSUER, AUDIENCE, ("RS256",), "api://segmentation/"))
        said = "admin api://segmentation/customers:read api://other/models:read"
        assert tokens.principal(token(ISSUER, scope=said)).scopes == {Scope.CUSTOMERS_READ}

    def test_may_have_other_audiences_as_well(self) -> None:
        assert _tokens().principal(token(ISSUER, aud=["other", AUDIENCE])).id == "ann"

    def test_may_be_a_little_late_or_early(self) -> None:
        now = int(time.time())
        assert _tokens().principal(token(ISSUER, exp=now - LEEWAY_SECONDS // 2)).id == "ann"
        assert _tokens().principal(token(ISSUER, nbf=now + LEEWAY_SECONDS // 2)).id == "ann"


class TestWithoutAnId:
    """Neither a token nor a key must have one; where there is a choice, it must tell."""

    @pytest.mark.parametrize(
        "published",
        [
            [jwk("first")],
            [unnamed("first")],
            [jwk("first"), jwk("curve")],
            [jwk("first"), unnamed("curve")],
            [jwk("first"), jwk("second", use="enc")],
            [jwk("first"), unnamed("second", alg="RS512")],
            [jwk("first"), jwk("second", key_ops=["encrypt"])],
            [jwk("first"), {"kty": "RSA", "n": 5, "e": None}],
        ],
    )
    @pytest.mark.parametrize("headers", [{"kid": None}, {}])
    def test_a_token_is_checked_with_the_one_key_that_fits(
        self, published: list[dict[str, Any]], headers: dict[str, Any]
    ) -> None:
        keys = KnownKeys()
        keys.documents = published
        assert _tokens(keys).principal(token(ISSUER, headers=headers)).id == "ann"

    @pytest.mark.parametrize(
        ("published", "headers"),
        [
            ([jwk("first"), jwk("second")], {"kid": None}),
            ([unnamed("first"), unnamed("second")], {"kid": None}),
            ([unnamed("first"), unnamed("second")], {}),
            ([unnamed("first"), jwk("second")], {}),
            ([jwk("second")], {}),
            ([unnamed("second")], {}),
            ([jwk("curve")], {"kid": None}),
            ([unnamed("first", use="enc")], {}),
            ([unnamed("first", use="tls")], {}),
            ([unnamed("first", key_ops=["sign"])], {}),
            ([unnamed("first", alg="RS512")], {}),
            ([jwk("first", kid=5)], {"kid": None}),
            ([], {"kid": None}),
        ],
    )
    def test_a_token_is_refused_where_no_key_or_several_fit(
        self, published: list[dict[str, Any]], headers: dict[str, Any]
    ) -> None:
        keys = KnownKeys()
        keys.documents = published
        with pytest.raises(Unauthenticated):
            _tokens(keys).principal(token(ISSUER, headers=headers))

    def test_a_key_on_another_curve_does_not_count(self) -> None:
        other = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
        keys = KnownKeys("curve")
        keys.documents.append(other)
        assert _tokens(keys).principal(token(ISSUER, "curve", {"kid": None})).id == "ann"

    @pytest.mark.parametrize("headers", [{"kid": None}, {}])
    def test_a_new_key_is_looked_for_when_the_known_one_does_not_fit(self, headers: dict[str, Any]) -> None:
        keys = KnownKeys()
        keys.documents, keys.renewed = [unnamed("second")], [unnamed("first")]
        tokens = _tokens(keys)
        assert tokens.principal(token(ISSUER, headers=headers)).id == "ann"
        assert len(keys.asked) == 2

    def test_and_a_named_key_that_does_not_fit_stays_refused(self) -> None:
        keys = KnownKeys("first")
        keys.renewed = [jwk("other", kid="first")]
        with pytest.raises(Unauthenticated):
            _tokens(keys).principal(token(ISSUER, "other", {"kid": "first"}))
        assert len(keys.asked) == 1

    def test_an_issuer_that_is_away_makes_no_token_hold(self) -> None:
        keys = KnownKeys()
        keys.documents = [unnamed("second")]
        get = keys.get

        def away(key_id: str | None, algorithm: str, failed: PyJWK | None = None) -> PyJWK | None:
            if failed is not None:
                raise IssuerUnavailable
            return get(key_id, algorithm)

        keys.get = away  # type: ignore[method-assign]
        with pytest.raises(Unauthenticated):
            _tokens(keys).principal(token(ISSUER))


ODD = ["\ud800", "\udfff", "\0", "a\ud83dz", "line\nbreak", "\x7f", "\x85"]
"""Texts that JSON can write and that cannot be stored, or not shown in a line."""


class TestTextsThatCannotBeWritten:
    @pytest.mark.parametrize("odd", ODD, ids=ascii)
    def test_make_no_subject(self, odd: str) -> None:
        with pytest.raises(Unauthenticated):
            _tokens().principal(token(ISSUER, sub=odd))

    @pytest.mark.parametrize("odd", ODD, ids=ascii)
    @pytest.mark.parametrize("claim", ["name", "preferred_username", "email", "client_id"])
    def test_are_replaced_in_names(self, claim: str, odd: str) -> None:
        principal = _tokens().principal(token(ISSUER, sub="u-17", **{claim: f"Ann {odd} Lee"}))
        assert principal.name.startswith("Ann ")
        assert "\ufffd" in principal.name
        assert principal.name.encode().decode().isprintable()

    def test_a_subject_is_as_long_as_the_standard_allows(self) -> None:
        longest = "u" * LONGEST_SUBJECT
        assert _tokens().principal(token(ISSUER, sub=longest)).id == longest
        with pytest.raises(Unauthenticated):
            _tokens().principal(token(ISSUER, sub=longest + "u"))

    @given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
    def test_never_reach_what_is_stored(self, sub: str, name: str) -> None:
        try:
            principal = _tokens().principal(token(ISSUER, sub=sub, name=name))
        except Unauthenticated:
            return
        assert principal.id == sub
        for text in (principal.id, principal.name):
            assert bson.decode(bson.encode({"text": text})) == {"text": text}
            assert orjson.loads(orjson.dumps(text)) == text
            assert "\n" not in text

    def test_are_not_quoted_in_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        with pytest.raises(Unauthenticated):
            _tokens().principal(token(ISSUER, headers={"crit": ["x\n2026 forged"], "x\n2026 forged": 1}))
        assert caplog.messages == ["a bearer token was refused: InvalidTokenError"]


class TestAnotherSlash:
    @pytest.mark.parametrize(("setting", "name"), [(ISSUER, f"{ISSUER}/"), (f"{ISSUER}/", ISSUER)])
    def test_in_the_issuer_is_refused_and_named_in_the_log(
        self, setting: str, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(Unauthenticated):
            _tokens(trust=Trust(setting, AUDIENCE, ("RS256",))).principal(token(name))
        assert f"OIDC_ISSUER is {setting!r}, and the issuer's tokens say {name!r}" in caplog.text

    def test_is_not_told_of_any_other_issuer(self, caplog: pytest.LogCaptureFixture) -> None:
        for forged in (token("https://evil.example"), token(f"{ISSUER}/", "other", {"kid": "first"})):
            with pytest.raises(Unauthenticated):
                _tokens().principal(forged)
        assert "OIDC_ISSUER" not in caplog.text


NOW = int(time.time())
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": NOW + 99}
PUBLIC = private_key("first").public_key()


def _hmac_with_the_public_key() -> str:
    """The classic confusion: what everybody knows, taken for a shared secret. PyJWT refuses to sign like that."""
    pem = PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    key = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    head, body, _ = token(ISSUER).split(".")
    head = _part({"alg": "HS256", "typ": "JWT", "kid": "first"})
    return f"{head}.{body}.{_encoded(key.sign(f'{head}.{body}'.encode(), pem))}"


def _signed(**claims: object) -> str:
    """Any claims, signed by the issuer; PyJWT would not write some of them."""
    said = json.dumps({**CLAIMS, **claims}).encode()
    return jwt.api_jws.encode(said, private_key("first"), "RS256", {"kid": "first"})


def _part(value: object) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _swapped(text: str, **claims: object) -> str:
    """Other claims under the same signature."""
    head, body, signature = text.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{_part({**said, **claims})}.{signature}"


WRONG = {
    "another key of the same name": lambda: token(ISSUER, "other", {"kid": "first"}),
    "an unknown key": lambda: token(ISSUER, "other"),
    "no key, signed with another": lambda: token(ISSUER, "other", {"kid": None}),
    "an empty key": lambda: token(ISSUER, headers={"kid": ""}),
    "a key of the other kind": lambda: token(ISSUER, "curve", {"kid": "first"}),
    "changed claims": lambda: _swapped(token(ISSUER), scope="admin"),
    "no signature": lambda: token(ISSUER).rsplit(".", 1)[0] + ".",
    "two parts": lambda: token(ISSUER).rsplit(".", 1)[0],
    "four parts": lambda: token(ISSUER) + ".x",
    "algorithm none": lambda: f"{_part({'alg': 'none', 'kid': 'first'})}.{token(ISSUER).split('.')[1]}.",
    "algorithm None": lambda: f"{_part({'alg': 'None', 'kid': 'first'})}.{token(ISSUER).split('.')[1]}.",
    "no algorithm": lambda: f"{_part({'kid': 'first'})}.{token(ISSUER).split('.')[1]}.",
    "a list of algorithms": lambda: f"{_part({'alg': ['RS256'], 'kid': 'first'})}.{token(ISSUER).split('.')[1]}.",
    "HS256 with the public key": _hmac_with_the_public_key,
    "HS256": lambda: jwt.encode(CLAIMS, "k" * 32, "HS256", {"kid": "first"}),
    "another algorithm of the kind": lambda: jwt.encode(CLAIMS, private_key("first"), "RS512", {"kid": "first"}),
    "claims of the wrong kinds": lambda: _signed(sub=5),
    "a header that must be understood": lambda: token(ISSUER, headers={"crit": ["x"], "x": 1}),
    "another issuer": lambda: token("https://evil.example"),
    "an issuer that begins alike": lambda: token(f"{ISSUER}/"),
    "a list of issuers": lambda: _signed(iss=[ISSUER]),
    "no issuer": lambda: token(ISSUER, iss=None),
    "another audience": lambda: token(ISSUER, aud="other"),
    "no audience": lambda: token(ISSUER, aud=None),
    "an empty audience": lambda: token(ISSUER, aud=[]),
    "expired": lambda: token(ISSUER, exp=NOW - 3600),
    "no expiry": lambda: token(ISSUER, exp=None),
    "an expiry in words": lambda: _signed(exp="tomorrow"),
    "an endless expiry": lambda: _signed(exp=float("inf")),
    "not valid yet": lambda: token(ISSUER, nbf=NOW + 3600),
    "issued in the future": lambda: token(ISSUER, iat=NOW + 3600),
    "no subject": lambda: token(ISSUER, sub=None),
    "an empty subject": lambda: token(ISSUER, sub=""),
    "claims that are no object": lambda: jwt.api_jws.encode(b"[]", private_key("first"), "RS256", {"kid": "first"}),
    "a deep header": lambda: _encoded(b"[" * 4000) + ".e30.x",
    "a header of a huge number": lambda: _encoded(b'{"alg":' + b"9" * 5000 + b"}") + ".e30.x",
    "nothing": lambda: "",
    "dots": lambda: "..",
    "nonsense": lambda: "nonsense",
    "other letters": lambda: "ÿ.ÿ.ÿ",
    "too long": lambda: "x" * (LONGEST_TOKEN + 1),
}


class TestThatDoNotHold:
    @pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
    def test_are_refused(self, make: Any) -> None:
        with pytest.raises(Unauthenticated):
            _tokens().principal(make())

    def test_are_refused_with_a_key_that_is_too_short(self) -> None:
        keys = KnownKeys()
        weak = private_key("weak", 1024)
        keys.documents = [{**jwt.algorithms.RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True), "kid": "weak"}]
        with pytest.raises(Unauthenticated):
            _tokens(keys).principal(token(ISSUER, "weak"))

    def test_never_lead_to_the_issuer_with_another_algorithm(self) -> None:
        keys = KnownKeys("first")
        for name in ("algorithm none", "HS256 with the public key", "HS256", "nonsense", "too long"):
            with pytest.raises(Unauthenticated):
                _tokens(keys).principal(WRONG[name]())
        assert keys.asked == []

    @pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
    def test_with_a_key_of_their_own(self, name: str) -> None:
        """What a token says of its key is nothing to go by, nor to go to (the tests of this level have no network)."""
        own = {"jwk": jwk("other"), "x5c": ["AA=="]}.get(name, "https://evil.example/keys")
        keys = KnownKeys("first")
        with pytest.raises(Unauthenticated):
            _tokens(keys).principal(token(ISSUER, "other", {"kid": "first", name: own}))
        assert [key_id for key_id, _ in keys.asked] == ["first"]

    @given(st.text(st.characters(codec="latin-1"), max_size=300))
    def test_whatever_they_say(self, text: str) -> None:
        with pytest.raises(Unauthenticated):
            _tokens(KnownKeys()).principal(text)

    @given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5)))
    def test_whatever_their_header_says(self, header: dict[str, object]) -> None:
        with pytest.raises(Unauthenticated):
            _tokens(KnownKeys()).principal(f"{_part({**header, 'kid': 'first', 'alg': 'RS256'})}.e30.e30")


class Clock:
    def __init__(self) -> None:
        self.at = time.time()

    def __call__(self) -> float:
        return self.at


class TestRemembering:
    def test_saves_the_check_of_the_signature(self) -> None:
        keys, clock = KnownKeys("first"), Clock()
        tokens, text = _tokens(keys, clock=clock), token(ISSUER, exp=int(clock.at) + 3600)
        assert tokens.principal(text) is tokens.principal(text)
        assert len(keys.asked) == 1
        clock.at += REMEMBERED_SECONDS
        tokens.principal(text)
        assert len(keys.asked) == 2

    def test_ends_with_the_token(self) -> None:
        clock = Clock()
        tokens, text = _tokens(KnownKeys("first"), clock=clock), token(ISSUER, exp=int(clock.at) + 1)
        tokens.principal(text)
        (checked,) = tokens._checked.values()
        assert checked.until == int(clock.at) + 1 + LEEWAY_SECONDS

    def test_is_bounded_and_of_tokens_that_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bearer_tokens, "MOST_REMEMBERED", 3)
        tokens = _tokens()
        for number in range(5):
            tokens.principal(token(ISSUER, sub=f"u{number}"))
            with pytest.raises(Unauthenticated):
                tokens.principal(token("https://evil.example", sub=f"u{number}"))
        assert [checked.principal.id for checked in tokens._checked.values()] == ["u2", "u3", "u4"]


class TestOverHttp:
    @pytest.fixture
    def keys(self) -> KnownKeys:
        return KnownKeys("first")

    @pytest.fixture
    def gateway(self, keys: KnownKeys) -> FakeGateway:
        gateway = FakeGateway()
        gateway.services = assemble(gateway.stores, gateway.model, gateway.registry, gateway.settings, _tokens(keys))
        return gateway

    def _get(self, gateway: FakeGateway, text: str, path: str = CUSTOMERS) -> Any:
        return gateway.anonymous.get(path, headers={"Authorization": f"Bearer {text}"})

    def test_a_token_opens_what_it_names(self, gateway: FakeGateway) -> None:
        assert self._get(gateway, token(ISSUER)).status_code == 200
        assert_problem(self._get(gateway, token(ISSUER), "/api/v1/models"), 403, "insufficient_scope")

    def test_a_token_that_does_not_hold_is_refused_like_a_key(self, gateway: FakeGateway) -> None:
        answer = self._get(gateway, token(ISSUER, aud="other"))
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].endswith('error="invalid_token"')

    def test_api_keys_open_as_well(self, gateway: FakeGateway, keys: KnownKeys) -> None:
        assert gateway.client.get(CUSTOMERS).status_code == 200
        assert keys.asked == []

    def test_without_the_issuer_it_cannot_be_told(self, gateway: FakeGateway, keys: KnownKeys) -> None:
        keys.away = IssuerUnavailable
        assert_problem(self._get(gateway, token(ISSUER)), 503, "issuer_unavailable")

    def test_where_the_setting_is_wrong_the_answer_says_so(self, gateway: FakeGateway, keys: KnownKeys) -> None:
        keys.away = IssuerMisconfigured
        answer = self._get(gateway, token(ISSUER))
        assert_problem(answer, 500, "issuer_misconfigured")
        assert "OIDC_ISSUER" in answer.get_json()["detail"]
        assert "Retry-After" not in answer.headers

    @pytest.mark.parametrize("claims", [{"name": "Ann \ud800"}, {"email": "\udfff@bank.example"}])
    def test_a_name_that_cannot_be_written_stops_no_write(self, gateway: FakeGateway, claims: dict[str, Any]) -> None:
        text = token(ISSUER, scope="customers:write", **claims)
        answer = gateway.anonymous.post(
            CUSTOMERS, json={"CUST_ID": "A", **inputs()}, headers={"Authorization": f"Bearer {text}"}
        )
        assert answer.status_code == 201
        (entry,) = gateway.logged()
        assert bson.encode(entry["actor"])

    def test_a_subject_that_cannot_be_written_is_refused(self, gateway: FakeGateway) -> None:
        text = token(ISSUER, scope="customers:write", sub="ann\ud800")
        answer = gateway.anonymous.post(
            CUSTOMERS, json={"CUST_ID": "A", **inputs()}, headers={"Authorization": f"Bearer {text}"}
        )
        assert_problem(answer, 401, "unauthenticated")


def test_without_an_issuer_no_token_opens(gateway: FakeGateway) -> None:
    answer = gateway.anonymous.get(CUSTOMERS, headers={"Authorization": f"Bearer {token(ISSUER)}"})
    assert_problem(answer, 401, "unauthenticated")
