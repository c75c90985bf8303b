"""API keys over HTTP: made once, listed without secrets, revoked, rotated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.api_keys import ADMIN_KEY
from fakes.gateway import FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.problems import assert_problem

from gateway.services.access.api_keys import DEFAULT_LIFETIME, LONGEST_LIFETIME, parse_key
from gateway.services.errors import StoreUnavailable
from gateway.services.principal import Scope

KEYS = "/api/v1/api-keys"
CUSTOMERS = "/api/v1/customers"
SHARED = FakeGateway()
"""For hypothesis, which would build one for every example."""

MEMBERS = {
    "id",
    "name",
    "prefix",
    "scopes",
    "status",
    "created_at",
    "created_by",
    "expires_at",
    "last_used_at",
    "revoked_at",
    "old_secret_until",
}


def _new(gateway: FakeGateway, *scopes: str, **more: object) -> dict[str, Any]:
    sent = {"name": "CRM", "scopes": list(scopes or ["customers:read"]), **more}
    answer = gateway.client.post(KEYS, json=sent)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def _status(gateway: FakeGateway, key: str, path: str = CUSTOMERS) -> int:
    return gateway.anonymous.get(path, headers={"Authorization": f"Bearer {key}"}).status_code


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


class TestCreate:
    def test_tells_the_key_once(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(KEYS, json={"name": "CRM", "scopes": ["customers:read", "predictions"]})
        made = answer.json
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"{KEYS}/{made['id']}"
        assert answer.headers["Cache-Control"] == "no-store"
        assert set(made) == {*MEMBERS, "key"}
        assert made["key"].startswith(f"{made['prefix']}_")
        assert made["prefix"] == f"csk_{made['id']}"
        assert (made["name"], made["scopes"]) == ("CRM", ["customers:read", "predictions"])
        assert (made["status"], made["created_by"]) == ("active", "api_key:AdminAdmin01")
        assert _time(made["expires_at"]) - _time(made["created_at"]) == DEFAULT_LIFETIME
        one = gateway.client.get(answer.headers["Location"]).json
        assert one == {name: made[name] for name in MEMBERS}

    def test_makes_a_key_that_opens_what_it_names(self, gateway: FakeGateway) -> None:
        key = _new(gateway, "customers:read")["key"]
        assert _status(gateway, key) == 200
        assert _status(gateway, key, "/api/v1/models") == 403

    def test_makes_another_key_each_time(self, gateway: FakeGateway) -> None:
        assert len({_new(gateway)["key"] for _ in range(20)}) == 20

    @pytest.mark.parametrize("days", [1, 30, 730])
    def test_expires_when_asked(self, gateway: FakeGateway, days: int) -> None:
        made = _new(gateway, expires_in_days=days)
        assert _time(made["expires_at"]) - _time(made["created_at"]) == timedelta(days=days)

    def test_expires_at_the_time_asked_for_whatever_its_offset(self, gateway: FakeGateway) -> None:
        at = datetime.now(UTC).replace(microsecond=123000) + timedelta(days=3)
        offset = at.astimezone(datetime.fromisoformat("2020-01-01T00:00:00+05:30").tzinfo)
        for text in (offset.isoformat(), offset.isoformat().replace("T", "t"), f"{at:%Y-%m-%dT%H:%M:%S}.123999999z"):
            assert _time(_new(gateway, expires_at=text)["expires_at"]) == at

    @pytest.mark.parametrize(
        ("change", "pointers"),
        [
            ({"name": None}, ["/name"]),
            ({"name": ""}, ["/name"]),
            ({"name": " CRM"}, ["/name"]),
            ({"name": "CRM\n"}, ["/name"]),
            ({"name": "x" * 101}, ["/name"]),
            ({"name": 5}, ["/name"]),
            ({"scopes": None}, ["/scopes"]),
            ({"scopes": []}, ["/scopes"]),
            ({"scopes": "admin"}, ["/scopes"]),
            ({"scopes": ["admin", "root", 5]}, ["/scopes/1", "/scopes/2"]),
            ({"scopes": ["ADMIN"]}, ["/scopes/0"]),
            ({"expires_in_days": 0}, ["/expires_in_days"]),
            ({"expires_in_days": 731}, ["/expires_in_days"]),
            ({"expires_in_days": 1.5}, ["/expires_in_days"]),
            ({"expires_in_days": True}, ["/expires_in_days"]),
            ({"expires_in_days": "30"}, ["/expires_in_days"]),
            ({"expires_in_days": 10**300}, ["/expires_in_days"]),
            ({"expires_at": "2020-01-01T00:00:00Z"}, ["/expires_at"]),
            ({"expires_at": "9999-12-31T23:59:59Z"}, ["/expires_at"]),
            ({"expires_at": "9999-12-31T23:59:59-10:00"}, ["/expires_at"]),
            ({"expires_at": "tomorrow"}, ["/expires_at"]),
            ({"expires_at": "9999-12-31T23:59:59.9999Z"}, ["/expires_at"]),
            ({"expires_at": "2029-01-01 00:00:00+00:00"}, ["/expires_at"]),
            ({"expires_at": "2029-01-01T00:00Z"}, ["/expires_at"]),
            ({"expires_at": "20290101T000000Z"}, ["/expires_at"]),
            ({"expires_at": "2029-W01-1T00:00:00Z"}, ["/expires_at"]),
            ({"expires_at": "2029-01-01T00:00:00"}, ["/expires_at"]),
            ({"expires_at": 5}, ["/expires_at"]),
            ({"expires_at": "2029-01-01T00:00:00Z", "expires_in_days": 5}, ["/expires_at"]),
            ({"colour": "red"}, ["/colour"]),
        ],
        ids=repr,
    )
    def test_refuses_what_makes_no_key(self, gateway: FakeGateway, change: dict[str, Any], pointers: list[str]) -> None:
        answer = gateway.client.post(KEYS, json={"name": "CRM", "scopes": ["admin"], **change})
        assert_problem(answer, 422, "validation_failed", pointers)
        assert len(gateway.keys.keys) == 1

    @pytest.mark.parametrize("missing", ["name", "scopes"])
    def test_refuses_a_gap(self, gateway: FakeGateway, missing: str) -> None:
        sent = {"name": "CRM", "scopes": ["admin"]}
        sent.pop(missing)
        assert_problem(gateway.client.post(KEYS, json=sent), 422, "validation_failed", [f"/{missing}"])

    @pytest.mark.parametrize("text", ["[]", "null", "5", '"admin"', "{", ""])
    def test_refuses_what_is_no_object(self, gateway: FakeGateway, text: str) -> None:
        assert gateway.send("POST", KEYS, text).status_code in (400, 422)

    @given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
    def test_never_fails(self, value: object) -> None:
        for name in ("name", "scopes", "expires_in_days", "expires_at"):
            answer = SHARED.client.post(KEYS, json={"name": "CRM", "scopes": ["admin"], name: value})
            assert answer.status_code in (201, 400, 422)


class TestList:
    def test_never_tells_a_secret(self, gateway: FakeGateway) -> None:
        secrets = [ADMIN_KEY.split("_")[2], *(_new(gateway)["key"].split("_")[2] for _ in range(3))]
        text = gateway.client.get(KEYS).text
        assert [secret for secret in secrets if secret in text] == []
        assert "digest" not in text

    def test_is_paged(self, gateway: FakeGateway) -> None:
        made = {_new(gateway)["id"] for _ in range(4)} | {"AdminAdmin01"}
        seen: list[str] = []
        path = f"{KEYS}?limit=2"
        while path:
            answer = gateway.client.get(path)
            seen += [key["id"] for key in answer.json["items"]]
            assert all(set(key) == MEMBERS for key in answer.json["items"])
            path = answer.headers["Link"].split(">")[0][1:] if answer.json["next_cursor"] else ""
        assert seen == sorted(made)

    def test_shows_the_last_use(self, gateway: FakeGateway) -> None:
        key_id, _ = parse_key(ADMIN_KEY) or ("", b"")
        gateway.keys.used(key_id, datetime(2199, 5, 1, 12, 30))
        assert gateway.client.get(f"{KEYS}/{key_id}").json["last_used_at"] == "2199-05-01T12:30:00Z"

    @pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=!", "cursor=", "page=2"])
    def test_refuses_other_pages(self, gateway: FakeGateway, query: str) -> None:
        assert_problem(gateway.client.get(f"{KEYS}?{query}"), 422, "validation_failed", [f"?{query.split('=')[0]}"])


class TestRevoke:
    def test_works_at_once_and_keeps_the_record(self, gateway: FakeGateway) -> None:
        made = _new(gateway)
        assert _status(gateway, made["key"]) == 200
        assert gateway.client.delete(f"{KEYS}/{made['id']}").status_code == 204
        assert _status(gateway, made["key"]) == 401
        record = gateway.client.get(f"{KEYS}/{made['id']}").json
        assert record["status"] == "revoked"
        assert gateway.client.delete(f"{KEYS}/{made['id']}").status_code == 204
        assert gateway.client.get(f"{KEYS}/{made['id']}").json == record

    def test_takes_the_last_administrator_too(self, gateway: FakeGateway) -> None:
        assert gateway.client.delete(f"{KEYS}/AdminAdmin01").status_code == 204
        assert_problem(gateway.client.get(KEYS), 401, "unauthenticated")


class TestRotate:
    def test_lets_the_old_secret_work_for_the_overlap(self, gateway: FakeGateway) -> None:
        made = _new(gateway)
        answer = gateway.client.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_seconds": 600})
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        rotated = answer.json
        assert rotated["id"] == made["id"]
        assert rotated["expires_at"] == made["expires_at"]
        assert rotated["key"] != made["key"]
        assert _time(rotated["old_secret_until"]) - datetime.now(UTC) > timedelta(seconds=590)
        assert [_status(gateway, key) for key in (made["key"], rotated["key"])] == [200, 200]

    def test_without_overlap_ends_the_old_secret_at_once(self, gateway: FakeGateway) -> None:
        made = _new(gateway)
        rotated = gateway.client.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_seconds": 0}).json
        assert [_status(gateway, key) for key in (made["key"], rotated["key"])] == [401, 200]
        assert rotated["old_secret_until"] is None

    def test_twice_leaves_two_secrets(self, gateway: FakeGateway) -> None:
        first = _new(gateway)
        path = f"{KEYS}/{first['id']}/rotate"
        second, third = (gateway.client.post(path).json for _ in range(2))  # without a body: an hour of overlap
        assert [_status(gateway, new["key"]) for new in (first, second, third)] == [401, 200, 200]

    def test_may_renew_the_expiry(self, gateway: FakeGateway) -> None:
        made = _new(gateway, expires_in_days=1)
        rotated = gateway.client.post(f"{KEYS}/{made['id']}/rotate", json={"expires_in_days": 10}).json
        assert _time(rotated["expires_at"]) - _time(made["expires_at"]) > timedelta(days=8)

    def test_of_a_revoked_key_is_refused(self, gateway: FakeGateway) -> None:
        made = _new(gateway)
        gateway.client.delete(f"{KEYS}/{made['id']}")
        assert_problem(gateway.client.post(f"{KEYS}/{made['id']}/rotate"), 409, "api_key_unusable")

    @pytest.mark.parametrize(
        ("sent", "pointer"),
        [
            ({"overlap_seconds": -1}, "/overlap_seconds"),
            ({"overlap_seconds": 30 * 24 * 3600 + 1}, "/overlap_seconds"),
            ({"overlap_seconds": None}, "/overlap_seconds"),
            ({"expires_in_days": LONGEST_LIFETIME.days + 1}, "/expires_in_days"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
            ({"name": "CRM"}, "/name"),
        ],
        ids=repr,
    )
    def test_refuses_nonsense(self, gateway: FakeGateway, sent: dict[str, Any], pointer: str) -> None:
        key_id = _new(gateway)["id"]
        before = gateway.keys.keys[key_id]
        answer = gateway.client.post(f"{KEYS}/{key_id}/rotate", json=sent)
        assert_problem(answer, 422, "validation_failed", [pointer])
        assert gateway.keys.keys[key_id] == before


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_an_unknown_key_is_not_found(gateway: FakeGateway, method: str, path: str) -> None:
    answer = gateway.client.open(f"{KEYS}/nobody{path}", method=method)
    assert_problem(answer, 404, "api_key_not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/x"), ("DELETE", "/x"), ("POST", "/x/rotate")])
def test_without_the_database(gateway: FakeGateway, method: str, path: str) -> None:
    gateway.client.get(KEYS)  # the caller's own key is known
    gateway.keys.failure = StoreUnavailable("away")
    assert_problem(gateway.client.open(f"{KEYS}{path}", method=method), 503, "store_unavailable")


def test_every_scope_can_be_given(gateway: FakeGateway) -> None:
    assert _new(gateway, *Scope)["scopes"] == sorted(Scope)
