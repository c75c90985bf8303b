"""How it was: ``as_of`` on the segment of a customer, on the members of a segment, and on the sizes of all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.changes import about
from fakes.gateway import CUSTOMERS, SEGMENTS, FakeGateway
from fakes.model import DOWN
from fakes.model import SEGMENTS as NAMED
from support.customers import stored
from support.problems import assert_problem

from gateway.services.clock import now
from gateway.services.events.change import Entry

HOUR = timedelta(hours=1)
PRESENT = now()


def ago(hours: float) -> datetime:
    return PRESENT - hours * HOUR


def text(at: datetime) -> str:
    return f"{at.isoformat()}Z"


def told(cust_id: str, hours: float, **members: Any) -> Entry:
    return about("customer", cust_id, **members) | {"at": ago(hours), "created_at": ago(9)}  # type: ignore[typeddict-item,return-value]


def left(origin: str, since: float, to: str | None) -> Any:
    return {"from": origin, "from_since": ago(since), "to": to, "confidence": 0.5, "rival": None, "model_version": "v"}


def activation(hours: float, before: str | None, after: str, kind: str = "model.activated") -> Any:
    return about("model", after, type=kind, before=before, after=after) | {"at": ago(hours)}


@pytest.fixture
def gateway() -> FakeGateway:
    """A has been in seg-02 for two hours, and was scored anew one hour ago; B is deleted; C is pending."""
    gateway = FakeGateway()
    gateway.changes.kept = gateway.changes.kept._replace(since=ago(8))
    segment = {"id": "seg-02", "confidence": 0.95, "rival": "seg-01", "model_version": "v1"}
    a: Any = stored("A") | {"created_at": ago(9), "segment": segment | {"since": ago(2), "assigned_at": ago(1)}}
    c: Any = stored("C") | {"created_at": ago(5), "segment": None}
    gateway.store.customers |= {"A": a, "C": c}
    gateway.changes.append(
        [
            told("A", 2, type="customer.updated", segment=left("seg-01", 9, "seg-02")),
            told("B", 3, type="customer.deleted", segment=left("seg-01", 7, None)),
        ]
    )
    return gateway


def segment(gateway: FakeGateway, cust_id: str, at: datetime) -> Any:
    answer = gateway.client.get(f"{CUSTOMERS}/{cust_id}/segment?as_of={text(at)}")
    assert answer.status_code == 200, answer.text
    return answer.json


class TestSegmentOfACustomer:
    def test_is_what_is_stored_since_then(self, gateway: FakeGateway) -> None:
        assert segment(gateway, "A", ago(0.5)) == {
            "CUST_ID": "A",
            "segment": NAMED[1],
            "confidence": 0.95,
            "borderline": False,
            "rival": NAMED[0],
            "model_version": "v1",
            "assigned_at": text(ago(1)),
            "segment_status": "assigned",
            "since": text(ago(2)),
            "as_of": text(ago(0.5)),
            "features_as_of": "now",
        }

    def test_says_no_confidence_where_it_was_scored_anew_since(self, gateway: FakeGateway) -> None:
        found = segment(gateway, "A", ago(1.5))
        assert found["segment"] == NAMED[1]
        assert [found[name] for name in ("confidence", "borderline", "rival", "assigned_at")] == [None] * 4

    @pytest.mark.parametrize(
        ("activations", "version"),
        [
            ([], "v1"),
            ([activation(4, "v0", "v1"), activation(2.5, "v1", "v2"), activation(1, "v2", "v3")], "v2"),
            ([activation(2.6, "v1", "v2"), activation(2.5, "v2", "v1", "model.rolled_back")], "v1"),
            ([activation(0.2, "v3", "v4"), activation(1, "v2", "v3")], "v2"),
            ([activation(1, None, "v3")], None),
        ],
    )
    def test_names_the_version_that_was_active(
        self, gateway: FakeGateway, activations: list[Entry], version: str | None
    ) -> None:
        gateway.changes.append(activations)
        assert segment(gateway, "A", ago(1.5))["model_version"] == version

    def test_is_what_the_log_says_of_before(self, gateway: FakeGateway) -> None:
        found = segment(gateway, "A", ago(2.5))
        assert (found["segment"], found["since"], found["confidence"]) == (NAMED[0], text(ago(9)), None)

    def test_of_a_deleted_customer_is_known_too(self, gateway: FakeGateway) -> None:
        assert segment(gateway, "B", ago(4))["segment"] == NAMED[0]
        body = assert_problem(
            gateway.client.get(f"{CUSTOMERS}/B/segment?as_of={text(ago(2))}"), 404, "customer_not_found"
        )
        assert text(ago(2)) in body["detail"]

    def test_may_have_been_pending(self, gateway: FakeGateway) -> None:
        found = segment(gateway, "C", ago(4))
        assert (found["segment"], found["segment_status"], found["since"]) == (None, "pending", None)
        assert_problem(gateway.client.get(f"{CUSTOMERS}/C/segment?as_of={text(ago(6))}"), 404, "customer_not_found")

    def test_names_are_null_while_the_model_service_is_away(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        found = segment(gateway, "A", ago(2.5))
        assert (found["segment"], found["model_version"]) == ({"id": "seg-01", "name": None}, None)

    def test_is_not_explained(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get(f"{CUSTOMERS}/A/segment?explain=true&as_of={text(ago(1))}")
        assert_problem(answer, 422, "validation_failed", ["?explain"])


def members(gateway: FakeGateway, query: str) -> Any:
    answer = gateway.client.get(f"{CUSTOMERS}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json


class TestMembers:
    def test_are_those_of_then_as_they_are_now(self, gateway: FakeGateway) -> None:
        body = members(gateway, f"segment=seg-01&as_of={text(ago(4))}")
        assert (body["as_of"], body["features_as_of"], body["next_cursor"]) == (text(ago(4)), "now", None)
        a, b = body["items"]
        assert (a["CUST_ID"], a["segment"]["id"], a["BALANCE"]) == ("A", "seg-02", 100.0)
        assert b == {"CUST_ID": "B"}, "it is deleted"
        assert members(gateway, f"segment=seg-01&as_of={text(ago(1))}")["items"] == []
        assert [c["CUST_ID"] for c in members(gateway, f"segment=seg-02&as_of={text(ago(1))}")["items"]] == ["A"]

    def test_are_found_at_the_segment_s_own_address(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get(f"{SEGMENTS}/seg-01/customers?as_of={text(ago(4))}")
        assert answer.json == members(gateway, f"segment=seg-01&as_of={text(ago(4))}")
        answer = gateway.client.get(f"{SEGMENTS}/seg-01/customers?segment=seg-02&as_of={text(ago(4))}")
        assert_problem(answer, 422, "validation_failed", ["?segment"])

    def test_are_cut_to_the_members_wanted(self, gateway: FakeGateway) -> None:
        items = members(gateway, f"segment=seg-01&as_of={text(ago(4))}&fields=BALANCE")["items"]
        assert items == [{"CUST_ID": "A", "BALANCE": 100.0}, {"CUST_ID": "B"}]

    def test_are_walked_to_their_end(self, gateway: FakeGateway) -> None:
        gateway.changes.append(
            [told(f"M{n}", 1, type="customer.updated", segment=left("seg-03", 9, "seg-01")) for n in range(5)]
        )
        found, cursor = [], ""
        while cursor is not None:
            body = members(
                gateway, f"segment=seg-03&as_of={text(ago(4))}&limit=2&cursor={cursor}".removesuffix("&cursor=")
            )
            found.append([c["CUST_ID"] for c in body["items"]])
            cursor = body["next_cursor"]
        assert found == [["M0", "M1"], ["M2", "M3"], ["M4"]]

    def test_have_cursors_of_their_own(self, gateway: FakeGateway) -> None:
        cursor = members(gateway, f"segment=seg-01&as_of={text(ago(4))}&limit=1")["next_cursor"]
        for other in (f"segment=seg-01&as_of={text(ago(5))}", f"segment=seg-02&as_of={text(ago(4))}", "segment=seg-01"):
            answer = gateway.client.get(f"{CUSTOMERS}?{other}&cursor={cursor}")
            assert_problem(answer, 422, "validation_failed", ["?cursor"])

    @pytest.mark.parametrize(
        ("query", "pointers"),
        [
            ("", ["?as_of"]),
            ("segment[in]=seg-01,seg-02", ["?as_of", "?segment"]),
            ("segment=seg-01&sort=BALANCE", ["?sort"]),
            ("segment=seg-01&count=exact", ["?count"]),
            ("segment=seg-01&BALANCE[gt]=5&confidence[lt]=0.9", ["?BALANCE", "?confidence"]),
        ],
    )
    def test_are_asked_for_by_segment_alone(self, gateway: FakeGateway, query: str, pointers: list[str]) -> None:
        answer = gateway.client.get(f"{CUSTOMERS}?as_of={text(ago(1))}&{query}".removesuffix("&"))
        assert_problem(answer, 422, "validation_failed", pointers)


class TestSizes:
    def test_are_those_of_then(self, gateway: FakeGateway) -> None:
        gateway.changes.append([activation(6, "v0", "v1")])
        body = gateway.client.get(f"{SEGMENTS}?as_of={text(ago(4))}").json
        assert body == {
            "items": [{**NAMED[0], "size": 2, "share": 1.0}],
            "model_version": "v1",
            "assigned": 2,
            "as_of": text(ago(4)),
        }
        assert gateway.client.get(f"{SEGMENTS}?as_of={text(ago(1))}").json["items"] == [
            {**NAMED[1], "size": 1, "share": 1.0}
        ]

    def test_stay_known_when_the_model_service_is_away_and_others_are_erased(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        gateway.changes.erase("B")
        body = gateway.client.get(f"{SEGMENTS}?as_of={text(ago(4))}").json
        assert body["items"] == [{"id": "seg-01", "name": None, "size": 2, "share": 1.0}]
        assert body["model_version"] is None
        assert [c["CUST_ID"] for c in members(gateway, f"segment=seg-01&as_of={text(ago(4))}")["items"]] == ["A"]

    def test_may_be_of_nobody(self) -> None:
        gateway = FakeGateway()
        gateway.changes.kept = gateway.changes.kept._replace(since=ago(8))
        assert gateway.client.get(f"{SEGMENTS}?as_of={text(ago(4))}").json["items"] == []


@pytest.mark.parametrize("path", [f"{CUSTOMERS}/A/segment?", f"{CUSTOMERS}?segment=seg-01&", f"{SEGMENTS}?"])
class TestTimes:
    def test_before_the_memory_of_the_log_nothing_is_known(self, gateway: FakeGateway, path: str) -> None:
        body = assert_problem(gateway.client.get(f"{path}as_of={text(ago(8.1))}"), 410, "as_of_expired", ["?as_of"])
        assert text(ago(8)) in body["detail"]
        assert body["errors"][0]["detail"] == f"must be {text(ago(8))} or later"
        assert gateway.client.get(f"{path}as_of={text(ago(8))}").status_code == 200

    def test_the_future_is_not_known(self, gateway: FakeGateway, path: str) -> None:
        answer = gateway.client.get(f"{path}as_of={text(now() + HOUR)}")
        assert_problem(answer, 422, "validation_failed", ["?as_of"])

    @pytest.mark.parametrize("wrong", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", ""])
    def test_a_time_has_its_zone(self, gateway: FakeGateway, path: str, wrong: str) -> None:
        assert_problem(gateway.client.get(f"{path}as_of={wrong}"), 422, "validation_failed", ["?as_of"])
