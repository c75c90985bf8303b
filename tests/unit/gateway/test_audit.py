"""No change without an entry in the audit trail, no entry without a change, and reading them."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

import pytest
from fakes.audit import InMemoryAuditTrail, auditor
from fakes.gateway import CUSTOMERS, MODELS, SEGMENTS, TRAININGS, FakeGateway
from fakes.registry import NEW
from hypothesis import given
from hypothesis import strategies as st
from support.customers import body, inputs
from support.problems import assert_problem

from gateway.schemas import queries
from gateway.schemas.paging import PAGE, cursor_after
from gateway.schemas.queries import QueryReader
from gateway.services.audit import Action, AuditEntry, Auditor, Change, Origin, id_since
from gateway.services.errors import (
    CustomerExists,
    InvalidInput,
    ModelTimeout,
    StoreUnavailable,
)
from gateway.services.principal import Principal
from shared.features import CUST_ID

AWAY = StoreUnavailable("away")
CREATED = Change("customer.created", "customer", "A", None, "r1")

AUDIT = "/api/v1/audit"
_READER = QueryReader((*queries.AUDIT, *PAGE))
ACTIONS = get_args(Action)


@pytest.fixture
def trail() -> InMemoryAuditTrail:
    return InMemoryAuditTrail()


class TestAuditor:
    def test_the_entry_is_there_before_the_change_is_made(self, trail: InMemoryAuditTrail) -> None:
        with auditor(trail).change(CREATED):
            (entry,) = trail.newest_first
        assert entry["subject"] == {"type": "customer", "id": "A"}
        assert (entry["before"], entry["after"]) == (None, "r1")
        assert trail.newest_first == [entry]
        assert trail.durable == set()

    def test_who_and_where_from(self, trail: InMemoryAuditTrail) -> None:
        clerk = Principal("api_key", "k1", "Clerk", frozenset())
        with Auditor(trail, lambda: Origin(clerk, "req-1", "10.0.0.9")).change(CREATED):
            pass
        (entry,) = trail.newest_first
        assert entry["actor"] == {"kind": "api_key", "id": "k1", "name": "Clerk"}
        assert (entry["request_id"], entry["address"]) == ("req-1", "10.0.0.9")

    def test_without_an_entry_there_is_no_change(self, trail: InMemoryAuditTrail) -> None:
        trail.failure = AWAY
        changed = []
        with pytest.raises(StoreUnavailable), auditor(trail).change(CREATED):
            changed.append(1)
        assert changed == []

    def test_a_refused_change_leaves_no_entry(self, trail: InMemoryAuditTrail) -> None:
        with pytest.raises(CustomerExists), auditor(trail).change(CREATED):
            raise CustomerExists("A")
        assert trail.entries == {}

    @pytest.mark.parametrize("error", [AWAY, ModelTimeout("too late"), RuntimeError("a bug")], ids=repr)
    def test_a_change_that_may_have_been_made_leaves_its_entry(
        self, trail: InMemoryAuditTrail, error: Exception
    ) -> None:
        with pytest.raises(type(error)), auditor(trail).change(CREATED):
            raise error
        assert len(trail.entries) == 1

    def test_of_many_changes_those_that_were_refused_leave_no_entry(self, trail: InMemoryAuditTrail) -> None:
        changes = [CREATED._replace(subject=name) for name in "ABC"]
        with auditor(trail).change(*changes) as announced:
            announced.refused({"B"})
        assert [entry["subject"]["id"] for entry in trail.newest_first] == ["C", "A"]
        with auditor(trail).change(*changes) as announced:
            announced.refused(set())
        assert len(trail.entries) == 5
        with auditor(trail).change(*changes) as announced:
            announced.refused()
        assert len(trail.entries) == 5

    def test_no_changes_no_entries(self, trail: InMemoryAuditTrail) -> None:
        with auditor(trail).change():
            pass
        assert trail.entries == {}

    def test_a_change_elsewhere_needs_a_durable_entry(self, trail: InMemoryAuditTrail) -> None:
        with auditor(trail).change(CREATED, elsewhere=True):
            assert trail.durable == set(trail.entries) != set()

    def test_what_becomes_known_is_added(self, trail: InMemoryAuditTrail) -> None:
        started = Change("training.started", "training", None)
        with auditor(trail).change(started, elsewhere=True) as announced:
            announced.became(subject="t1", after="v1")
        (entry,) = trail.newest_first
        assert (entry["subject"]["id"], entry["after"]) == ("t1", "v1")

    def test_an_entry_that_an_election_may_have_lost_is_written_again(self, trail: InMemoryAuditTrail) -> None:
        with auditor(trail).change(CREATED):
            trail.entries.clear()
            trail.primary += 1
        assert len(trail.entries) == 1
        assert trail.durable == set(trail.entries)


@given(st.lists(st.datetimes(), min_size=2, max_size=2))
def test_ids_sort_as_times_do(times: list[Any]) -> None:
    earlier, later = sorted(times)
    assert len(id_since(later)) == 15
    assert id_since(earlier) <= id_since(later)


# In the gateway ---------------------------------------------------------------------------------------------------


def _last(gateway: FakeGateway) -> AuditEntry:
    entry: AuditEntry = gateway.audit.newest_first[0]
    return entry


def _told(entry: AuditEntry) -> tuple[Any, ...]:
    return entry["action"], entry["subject"]["type"], entry["subject"]["id"], entry["before"], entry["after"]


def _create(gateway: FakeGateway, cust_id: str = "A", **changes: Any) -> str:
    created = gateway.client.post(CUSTOMERS, json=body(cust_id, **changes))
    assert created.status_code == 201, created.text
    return str(created.json["revision"])


def test_the_life_of_a_customer(gateway: FakeGateway) -> None:
    at = f"{CUSTOMERS}/A"
    first = _create(gateway)
    assert _told(_last(gateway)) == ("customer.created", "customer", "A", None, first)
    second = gateway.client.put(at, json=inputs(BALANCE=1.0)).json["revision"]
    assert _told(_last(gateway)) == ("customer.replaced", "customer", "A", first, second)
    third = gateway.client.patch(at, json={"BALANCE": 2.0}).json["revision"]
    assert _told(_last(gateway)) == ("customer.patched", "customer", "A", second, third)
    gateway.client.post(f"{at}/segment")
    fourth = gateway.client.get(at).json["revision"]
    assert _told(_last(gateway)) == ("customer.rescored", "customer", "A", third, fourth)
    gateway.client.delete(at)
    assert _told(_last(gateway)) == ("customer.deleted", "customer", "A", fourth, None)
    fifth = gateway.client.post(f"{at}/restore").json["revision"]
    assert _told(_last(gateway)) == ("customer.restored", "customer", "A", fourth, fifth)
    assert len(gateway.audit.entries) == 6


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
    at, known = f"{CUSTOMERS}/A", len(gateway.audit.entries)
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
    assert len(gateway.audit.entries) == known


def test_losing_every_race_leaves_no_entry(gateway: FakeGateway) -> None:
    _create(gateway)
    known = len(gateway.audit.entries)
    gateway.store.replace = lambda customer, revision: False
    gateway.store.update_many = lambda updates: {update.old[CUST_ID] for update in updates}
    for answer in (
        gateway.client.patch(f"{CUSTOMERS}/A", json={"BALANCE": 5.0}),
        gateway.client.post(f"{CUSTOMERS}/A/segment"),
    ):
        assert_problem(answer, 409, "contended")
    assert len(gateway.audit.entries) == known


def test_while_the_trail_is_out_of_reach_nothing_changes(gateway: FakeGateway) -> None:
    _create(gateway)
    gateway.client.delete(f"{CUSTOMERS}/A")
    _create(gateway, "B")
    before = (dict(gateway.store.customers), gateway.registry.active, list(gateway.registry.orders))
    gateway.audit.failure = gateway.outboxes.failure = gateway.orders.failure = AWAY
    orders = [
        ("POST", CUSTOMERS, body("C")),
        ("PUT", f"{CUSTOMERS}/B", inputs(BALANCE=5.0)),
        ("PATCH", f"{CUSTOMERS}/B", {"BALANCE": 5.0}),
        ("POST", f"{CUSTOMERS}/B/segment", None),
        ("DELETE", f"{CUSTOMERS}/B", None),
        ("DELETE", f"{CUSTOMERS}/B?erase=true", None),
        ("POST", f"{CUSTOMERS}/A/restore", None),
        ("POST", f"{CUSTOMERS}/batch", {"customers": [body("C"), body("B", BALANCE=5.0)]}),
        ("POST", f"{MODELS}/{NEW}/activate", {}),
        ("POST", f"{MODELS}/rollback", {}),
        ("PATCH", f"{SEGMENTS}/seg-01", {"name": "N"}),
        ("POST", MODELS, None),
        ("POST", f"{TRAININGS}/t1/cancel", None),
        ("POST", "/api/v1/api-keys", {"name": "CRM", "scopes": ["admin"]}),
    ]
    for method, path, sent in orders:
        assert_problem(gateway.client.open(path, method=method, json=sent), 503, "store_unavailable")
    assert (dict(gateway.store.customers), gateway.registry.active, list(gateway.registry.orders)) == before


def test_a_batch_has_an_entry_for_every_row_that_was_written(gateway: FakeGateway) -> None:
    old = _create(gateway, "B")
    _create(gateway, "C")
    rows = [body("A"), body("B", BALANCE=5.0), body("C"), {"CUST_ID": "D"}]
    assert gateway.client.post(f"{CUSTOMERS}/batch", json={"customers": rows}).status_code == 200
    entries = gateway.audit.newest_first[: len(gateway.audit.entries) - 2]
    revision = {i: gateway.store.get(i)["revision"] for i in "AB"}
    assert sorted(_told(entry) for entry in entries) == [
        ("customer.created", "customer", "A", None, revision["A"]),
        ("customer.replaced", "customer", "B", old, revision["B"]),
    ]


def test_an_erased_customer_is_named_nowhere_in_the_trail(gateway: FakeGateway) -> None:
    revision = _create(gateway)
    receipt = gateway.client.delete(f"{CUSTOMERS}/A?erase=true").json
    assert receipt["erased"]["audit"] == 1
    erased, created = gateway.audit.newest_first
    assert _told(erased) == ("customer.erased", "erasure", receipt["id"], revision, None)
    assert _told(created) == ("customer.created", "customer", None, None, revision)
    assert (created["erased"], created["actor"]["kind"]) == (True, "api_key")


# Reading it -------------------------------------------------------------------------------------------------------


def _ids(gateway: FakeGateway, query: str = "") -> list[str]:
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
    revision = _create(gateway)
    (entry,) = gateway.client.get(AUDIT).json["items"]
    assert entry["at"].endswith("Z")
    assert set(entry) == set(AuditEntry.__annotations__)
    assert entry["after"] == revision


def test_filters(gateway: FakeGateway) -> None:
    _create(gateway, "A")
    _create(gateway, "B")
    gateway.client.delete(f"{CUSTOMERS}/A")
    (first, *_, last) = gateway.client.get(AUDIT).json["items"]
    assert _ids(gateway, "subject=A") == ["A", "A"]
    assert _ids(gateway, "subject=A&action=customer.created") == ["A"]
    assert _ids(gateway, f"actor={first['actor']['id']}") == ["A", "B", "A"]
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


@given(st.text("0123456789abcdef", min_size=32, max_size=32))
def test_a_cursor_leads_back_to_its_entry(entry_id: str) -> None:
    assert _READER.read([("cursor", cursor_after(entry_id))])["cursor"] == entry_id


def test_every_action_can_be_asked_for() -> None:
    for action in ACTIONS:
        assert _READER.read([("action", action)])["action"] == action


def test_it_is_for_administrators(gateway: FakeGateway) -> None:
    assert_problem(gateway.anonymous.get(AUDIT), 401, "unauthenticated")
