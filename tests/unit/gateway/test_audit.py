"""No change without an entry in the log, no entry without a change; and the audit trail, which is a view of it."""

from __future__ import annotations

import contextlib
from base64 import urlsafe_b64encode
from typing import Any, get_args

import pytest
from fakes.gateway import CUSTOMERS, MODELS, SEGMENTS, TRAININGS, FakeGateway
from fakes.registry import NEW
from hypothesis import given
from hypothesis import strategies as st
from support.customers import body, inputs
from support.problems import assert_problem

from gateway.schemas import queries
from gateway.schemas.paging import LIMIT, POSITION_CURSOR, cursor_after
from gateway.schemas.queries import QueryReader
from gateway.services.errors import InvalidInput, StoreUnavailable
from gateway.services.events.audit import FORMER_NAMES, AuditEntry
from gateway.services.events.change import ChangeType, Logged
from shared.features import CUST_ID

AWAY = StoreUnavailable("away")
AUDIT = "/api/v1/audit"
_READER = QueryReader((*queries.AUDIT, LIMIT, POSITION_CURSOR))


def _last(gateway: FakeGateway) -> Logged:
    return gateway.logged()[0]


def _told(entry: Logged) -> tuple[Any, ...]:
    return entry["type"], entry["subject"]["type"], entry["subject"]["id"], entry["before"], entry["after"]


def _create(gateway: FakeGateway, cust_id: str = "A", **changes: Any) -> str:
    created = gateway.client.post(CUSTOMERS, json=body(cust_id, **changes))
    assert created.status_code == 201, created.text
    return str(created.json["revision"])


def test_the_life_of_a_customer(gateway: FakeGateway) -> None:
    at = f"{CUSTOMERS}/A"
    first = _create(gateway)
    assert _told(_last(gateway)) == ("customer.created", "customer", "A", None, first)
    second = gateway.client.put(at, json=inputs(BALANCE=1.0)).json["revision"]
    assert _told(_last(gateway)) == ("customer.updated", "customer", "A", first, second)
    third = gateway.client.patch(at, json={"BALANCE": 2.0}).json["revision"]
    assert _told(_last(gateway)) == ("customer.updated", "customer", "A", second, third)
    gateway.client.post(f"{at}/segment")
    fourth = gateway.client.get(at).json["revision"]
    assert _told(_last(gateway)) == ("customer.rescored", "customer", "A", third, fourth)
    gateway.client.delete(at)
    assert _told(_last(gateway)) == ("customer.deleted", "customer", "A", fourth, None)
    fifth = gateway.client.post(f"{at}/restore").json["revision"]
    assert _told(_last(gateway)) == ("customer.restored", "customer", "A", fourth, fifth)
    assert len(gateway.logged()) == 6


def test_a_put_that_creates(gateway: FakeGateway) -> None:
    made = gateway.client.put(f"{CUSTOMERS}/A", json=inputs()).json["revision"]
    assert _told(_last(gateway)) == ("customer.created", "customer", "A", None, made)


def test_an_entry_names_the_key_the_request_and_the_address(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body("A"), headers={"X-Request-ID": "crm-1"})
    entry = _last(gateway)
    assert entry["actor"]["kind"] == "api_key"
    assert (entry["request_id"], entry["address"], entry["by"]) == ("crm-1", "127.0.0.1", None)


def test_what_changes_nothing_leaves_no_entry(gateway: FakeGateway) -> None:
    _create(gateway)
    at, known = f"{CUSTOMERS}/A", len(gateway.logged())
    stale = {"If-Match": '"stale"'}
    answers = [
        gateway.client.post(CUSTOMERS, json=body("A")),
        gateway.client.put(at, json=inputs()),
        gateway.client.patch(at, json={"BALANCE": 5.0}, headers=stale),
        gateway.client.put(at, json=inputs(BALANCE=5.0), headers=stale),
        gateway.client.delete(at, headers=stale),
        gateway.client.delete(f"{CUSTOMERS}/nobody"),
        gateway.client.post(f"{at}/restore"),
        gateway.client.delete(f"{at}?erase=true", headers=stale),
        gateway.client.get(at),
    ]
    assert [answer.status_code for answer in answers] == [409, 200, 412, 412, 412, 404, 409, 412, 200]
    assert len(gateway.logged()) == known


def test_losing_every_race_leaves_no_entry(gateway: FakeGateway) -> None:
    _create(gateway)
    known = len(gateway.logged())
    gateway.store.update = lambda update: False
    gateway.store.update_many = lambda updates: {update.old[CUST_ID] for update in updates}
    for answer in (
        gateway.client.patch(f"{CUSTOMERS}/A", json={"BALANCE": 5.0}),
        gateway.client.post(f"{CUSTOMERS}/A/segment"),
    ):
        assert_problem(answer, 409, "contended")
    assert len(gateway.logged()) == known


def test_while_outboxes_are_out_of_reach_nothing_changes_that_is_told_there(gateway: FakeGateway) -> None:
    before = (set(gateway.keys.keys), gateway.registry.active, list(gateway.registry.orders))
    gateway.outboxes.failure = gateway.orders.failure = AWAY
    orders = [
        ("POST", f"{MODELS}/{NEW}/activate", {}),
        ("POST", f"{MODELS}/rollback", {}),
        ("PATCH", f"{SEGMENTS}/seg-01", {"name": "N"}),
        ("POST", MODELS, None),
        ("POST", f"{TRAININGS}/t1/cancel", None),
        ("POST", "/api/v1/api-keys", {"name": "CRM", "scopes": ["admin"]}),
    ]
    for method, path, sent in orders:
        assert_problem(gateway.client.open(path, method=method, json=sent), 503, "store_unavailable")
    assert (set(gateway.keys.keys), gateway.registry.active, list(gateway.registry.orders)) == before


def test_a_batch_has_an_entry_for_every_row_that_was_written(gateway: FakeGateway) -> None:
    old = _create(gateway, "B")
    _create(gateway, "C")
    rows = [body("A"), body("B", BALANCE=5.0), body("C"), {"CUST_ID": "D"}]
    assert gateway.client.post(f"{CUSTOMERS}/batch", json={"customers": rows}).status_code == 200
    entries = gateway.logged()[:-2]
    revision = {i: gateway.store.get(i)["revision"] for i in "AB"}
    assert sorted(_told(entry) for entry in entries) == [
        ("customer.created", "customer", "A", None, revision["A"]),
        ("customer.updated", "customer", "B", old, revision["B"]),
    ]


def test_an_erased_customer_is_named_nowhere_in_the_trail(gateway: FakeGateway) -> None:
    revision = _create(gateway)
    gateway.logged()
    receipt = gateway.client.delete(f"{CUSTOMERS}/A?erase=true").json
    assert receipt["erased"]["audit"] == 1
    erased, created = gateway.logged()
    assert _told(erased) == ("customer.erased", "erasure", receipt["id"], revision, None)
    assert _told(created) == ("customer.created", "customer", None, None, revision)
    assert (created.get("erased"), created["actor"]["kind"]) == (True, "api_key")


# Reading it -------------------------------------------------------------------------------------------------------


def _ids(gateway: FakeGateway, query: str = "") -> list[str]:
    gateway.logged()
    answer = gateway.client.get(f"{AUDIT}?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["subject"]["id"] for entry in answer.json["items"]]


def test_walking_the_trail_meets_every_entry_once(gateway: FakeGateway) -> None:
    for name in "ABCDE":
        _create(gateway, name)
    assert _ids(gateway) == [*"EDCBA"]
    address: str | None = f"{AUDIT}?limit=2&action=customer.created"
    seen = []
    while address:
        answer = gateway.client.get(address)
        seen += [entry["subject"]["id"] for entry in answer.json["items"]]
        link = answer.headers.get("Link")
        assert (link is None) == (answer.json["next_cursor"] is None)
        address = link.split(">")[0].removeprefix("<") if link else None
    assert seen == [*"EDCBA"]


def test_an_entry_as_it_is_sent(gateway: FakeGateway) -> None:
    first = _create(gateway)
    second = gateway.client.patch(f"{CUSTOMERS}/A", json={"BALANCE": 5.0}).json["revision"]
    (logged, _) = gateway.logged()
    changed, created = gateway.client.get(AUDIT).json["items"]
    assert set(changed) == set(created) == set(AuditEntry.__annotations__)
    assert changed["id"] == str(logged["position"])
    assert changed["at"].endswith("Z")
    assert (changed["before"], changed["after"]) == (first, second)
    assert (changed["cause"], changed["fields"], created["fields"]) == ("customer_data", ["BALANCE"], [])


def test_the_reason_of_an_activation_is_sent(gateway: FakeGateway) -> None:
    gateway.client.post(f"{MODELS}/{NEW}/activate", json={"reason": "better"})
    gateway.logged()
    (entry,) = gateway.client.get(AUDIT).json["items"]
    assert entry["data"] == {"reason": "better", "forced": False}


def test_filters(gateway: FakeGateway) -> None:
    _create(gateway, "A")
    _create(gateway, "B")
    gateway.client.delete(f"{CUSTOMERS}/A")
    gateway.logged()
    (first, *_, last) = gateway.client.get(AUDIT).json["items"]
    assert _ids(gateway, "subject=A") == ["A", "A"]
    assert _ids(gateway, "subject=A&action=customer.created") == ["A"]
    assert sorted(_ids(gateway, f"actor={first['actor']['id']}")) == ["A", "A", "B"]
    assert _ids(gateway, "actor=nobody") == []
    assert _ids(gateway, f"at[lt]={last['at']}") == []
    assert len(_ids(gateway, f"at[gte]={last['at']}")) == 3
    assert _ids(gateway, "at[gte]=2999-01-01T00:00:00%2B01:00") == []


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("subject=", ["?subject"]),
        ("actor=" + "x" * 256, ["?actor"]),
        ("action=customer.seen", ["?action"]),
        ("at[gte]=2024-05-01", ["?at[gte]"]),
        ("at[gte]=2024-05-01T00:00:00", ["?at[gte]"]),
        ("at[lt]=2024-02-30T00:00:00Z", ["?at[lt]"]),
        ("at[lt]=0001-01-01T00:00:00%2B01:00", ["?at[lt]"]),
        ("at=2024-05-01T00:00:00Z", ["?at"]),
        ("followers=no", ["?followers"]),
        ("limit=0", ["?limit"]),
        ("limit=501", ["?limit"]),
        ("cursor=x", ["?cursor"]),
        ("action=x&limit=0&cursor=", ["?action", "?limit", "?cursor"]),
    ],
)
def test_a_query_that_breaks_a_rule(gateway: FakeGateway, query: str, pointers: list[str]) -> None:
    assert_problem(gateway.client.get(f"{AUDIT}?{query}"), 422, "validation_failed", pointers)


@given(
    st.dictionaries(st.sampled_from(["subject", "actor", "action", "at[gte]", "at[lt]", "limit", "cursor"]), st.text())
)
def test_any_query_is_read_or_refused(query: dict[str, str]) -> None:
    with contextlib.suppress(InvalidInput):
        assert 1 <= _READER.read(query.items())["limit"] <= 500


@given(st.integers(0, 10**18 - 1))
def test_a_cursor_leads_back_to_its_position(position: int) -> None:
    assert _READER.read([("cursor", cursor_after(str(position)))])["cursor"] == position


@pytest.mark.parametrize("other", ["0651a", "A", "٣", "1" * 19])
def test_the_cursor_of_another_list_is_refused(gateway: FakeGateway, other: str) -> None:
    cursor = urlsafe_b64encode(f"1:{other}".encode()).decode().rstrip("=")
    assert_problem(gateway.client.get(f"{AUDIT}?cursor={cursor}"), 422, "validation_failed", ["?cursor"])


@pytest.mark.parametrize("action", get_args(ChangeType))
def test_every_action_can_be_asked_for(action: str) -> None:
    assert _READER.read([("action", action)])["action"] == action


@pytest.mark.parametrize(("former", "now"), FORMER_NAMES.items())
def test_former_names_of_actions_are_synonyms(former: str, now: str) -> None:
    assert _READER.read([("action", former)])["action"] == now


def test_it_is_for_administrators(gateway: FakeGateway) -> None:
    assert_problem(gateway.anonymous.get(AUDIT), 401, "unauthenticated")
