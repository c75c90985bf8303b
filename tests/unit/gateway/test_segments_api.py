"""Segments, health and the index over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from contracts.customers import assignment
from fakes.gateway import CUSTOMERS, SEGMENTS, FakeGateway
from fakes.model import DOWN, MALFORMED, SLOW
from fakes.registry import FakeRegistry
from support.customers import body, stored
from support.descriptions import RULE
from support.problems import assert_problem
from support.segment_histories import START, History
from werkzeug.test import TestResponse

from gateway.routes import registered
from gateway.services.clock import now
from gateway.services.errors import ModelServiceError, RegistryRefusal, StoreError, StoreUnavailable
from gateway.services.events.log import Memory
from gateway.services.models.registry import Payload
from gateway.settings import Settings
from shared.model_contract import Label

MEMBERS = {
    "id",
    "name",
    "derived_name",
    "description",
    "owner",
    "name_warning",
    "size",
    "share",
    "borderline_size",
    "money",
    "training_size",
    "training_share",
    "actions",
    "derived_actions",
    "labelled_at",
    "labelled_by",
    "profile",
}
FAILURES = [(DOWN, 503, "model_unavailable"), (SLOW, 504, "model_timeout"), (MALFORMED, 502, "model_malformed")]


@pytest.fixture
def peopled(gateway: FakeGateway) -> FakeGateway:
    """A gateway with three customers in the first segment, one in the second, one pending and one left behind."""
    second, retired = assignment("seg-02"), assignment("seg-09", "v0")
    segments = [assignment(), assignment(), assignment(), second, retired, None]
    gateway.store.insert_many([stored(f"C{n}", segment) for n, segment in enumerate(segments)])
    gateway.count_segments()
    return gateway


class TestSegments:
    def test_have_their_sizes_and_shares_now(self, peopled: FakeGateway) -> None:
        answer = peopled.client.get(SEGMENTS)
        assert answer.status_code == 200
        assert [(s["id"], s["size"], s["share"]) for s in answer.json["items"]] == [
            ("seg-01", 3, 0.6),
            ("seg-02", 1, 0.2),
        ]
        assert {name: answer.json[name] for name in ("model_version", "customers", "pending", "retired")} == {
            "model_version": "v1",
            "customers": 6,
            "pending": 1,
            "retired": 1,
        }
        assert answer.json["as_of"].endswith("Z")

    def test_have_what_the_training_found(self, peopled: FakeGateway) -> None:
        for segment in peopled.client.get(SEGMENTS).json["items"]:
            assert set(segment) == MEMBERS
            assert (segment["training_size"], segment["training_share"]) == (50, 0.5)
            assert segment["actions"] == ["Call them"]
            assert segment["profile"]["BALANCE"]["median"] == 1.0

    def test_without_customers_have_no_share(self, gateway: FakeGateway) -> None:
        assert [s["share"] for s in gateway.client.get(SEGMENTS).json["items"]] == [0.0, 0.0]

    def test_one(self, peopled: FakeGateway) -> None:
        answer = peopled.client.get(f"{SEGMENTS}/seg-02")
        assert (answer.status_code, answer.json["name"], answer.json["size"]) == (200, "High balance", 1)

    @pytest.mark.parametrize("segment_id", ["seg-09", "seg", "%C3%A4", "x" * 1000])
    def test_one_that_the_model_does_not_have(self, peopled: FakeGateway, segment_id: str) -> None:
        assert_problem(peopled.client.get(f"{SEGMENTS}/{segment_id}"), 404, "segment_not_found")

    def test_one_has_its_rules_and_members_too(self, peopled: FakeGateway) -> None:
        answer = peopled.client.get(f"{SEGMENTS}/seg-01").json
        assert answer["rules"] == [RULE]
        assert answer["typical"] == []
        assert "borderline" not in answer, "this version has none"
        listed = peopled.client.get(SEGMENTS).json["items"][0]
        assert {name: answer[name] for name in MEMBERS - {"derived_name"}} == {
            name: listed[name] for name in MEMBERS - {"derived_name"}
        }

    @pytest.mark.parametrize("path", [SEGMENTS, f"{SEGMENTS}/seg-01"])
    @pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
    def test_need_the_model(
        self, gateway: FakeGateway, path: str, failure: ModelServiceError, status: int, code: str
    ) -> None:
        gateway.model.failure = failure
        assert_problem(gateway.client.get(path), status, code)


def a_second_ago(answer: TestResponse, name: str) -> bool:
    """Whether the time in an answer has just been."""
    at = datetime.fromisoformat(answer.json[name]).replace(tzinfo=None)
    return at <= now() < at + timedelta(seconds=30)


class TestCounting:
    def test_says_as_of_when_and_what_was_counted(self, peopled: FakeGateway) -> None:
        answer = peopled.client.get(SEGMENTS)
        assert (answer.json["state"], answer.json["state_reason"], answer.json["outdated"]) == ("fresh", None, 1)
        assert a_second_ago(answer, "as_of")
        assert a_second_ago(answer, "described_at")
        first = answer.json["items"][0]
        assert first["borderline_size"] == 3
        assert first["money"]["BALANCE"] == {"known": 3, "sum": 300.0, "mean": 100.0}
        assert first["money"]["UTILISATION"] == {"known": 3, "sum": 3.0, "mean": 1.0}
        one = peopled.client.get(f"{SEGMENTS}/seg-01").json
        assert {name: one[name] for name in ("money", "borderline_size", "state", "as_of")} == {
            "money": first["money"],
            "borderline_size": 3,
            "state": "fresh",
            "as_of": answer.json["as_of"],
        }

    def test_of_another_version_names_all_outdated_until_they_are_scored(self, peopled: FakeGateway) -> None:
        peopled.model.current = "v2"
        answer = peopled.client.get(SEGMENTS).json
        assert (answer["model_version"], answer["outdated"], answer["pending"]) == ("v2", 5, 1)
        peopled.services.assignments.reconciler.run_once()
        peopled.count_segments()
        answer = peopled.client.get(SEGMENTS).json
        assert (answer["model_version"], answer["outdated"], answer["pending"]) == ("v2", 0, 0)

    def test_is_never_done_by_a_request(self, peopled: FakeGateway) -> None:
        counts = peopled.segment_counter.counts
        peopled.store.insert(stored("NEW", assignment()))
        assert peopled.client.get(SEGMENTS).json["customers"] == 6
        assert peopled.segment_counter.counts == counts

    def test_before_it_was_ever_done(self, gateway: FakeGateway) -> None:
        gateway.store.insert(stored("A"))
        for path in (SEGMENTS, f"{SEGMENTS}/seg-01"):
            answer = gateway.client.get(path)
            assert_problem(answer, 503, "segments_being_counted")
            assert answer.headers["Retry-After"] == "1"

    def test_by_no_worker_any_more(self, peopled: FakeGateway) -> None:
        peopled.snapshots.ahead = timedelta(hours=1)
        answer = peopled.client.get(SEGMENTS).json
        assert (answer["customers"], answer["state"]) == (6, "failed")
        assert "No worker" in answer["state_reason"]


class TestWhileTheModelIsAway:
    @pytest.fixture
    def away(self, peopled: FakeGateway) -> FakeGateway:
        peopled.model.current = peopled.registry.active or ""
        peopled.registry.label("seg-01", {"name": "Savers"})
        peopled.services.segments.upkeep.run_once()
        peopled.descriptions.description = replace(peopled.descriptions.description, described_at=EARLIER)
        peopled.model.failure = peopled.registry.failure = SLOW
        return peopled

    def test_segments_are_those_of_the_last_description(self, away: FakeGateway) -> None:
        for _ in range(3):
            answer = away.client.get(SEGMENTS)
            assert (answer.status_code, answer.json["described_at"]) == (200, "2026-01-01T00:00:00Z")
            assert [(s["name"], s["size"]) for s in answer.json["items"]] == [("Savers", 3), ("High balance", 1)]
        assert len(away.model.deadlines) == 1, "a model service that hangs is not waited for each time"
        one = away.client.get(f"{SEGMENTS}/seg-01").json
        assert (one["name"], one["rules"], one["described_at"]) == ("Savers", [RULE], "2026-01-01T00:00:00Z")
        assert_problem(away.client.get(f"{SEGMENTS}/seg-09"), 404, "segment_not_found")

    def test_customers_keep_the_names_of_their_segments(self, away: FakeGateway) -> None:
        answer = away.client.get(f"{CUSTOMERS}/C0/segment").json
        assert (answer["segment"], answer["rival"]["name"]) == ({"id": "seg-01", "name": "Savers"}, "High balance")

    def test_nobody_can_label(self, away: FakeGateway) -> None:
        assert_problem(away.client.patch(f"{SEGMENTS}/seg-01", json={"name": "x"}), 504, "model_timeout")

    def test_a_new_name_is_known_though_no_worker_has_seen_it(self, peopled: FakeGateway) -> None:
        peopled.client.patch(f"{SEGMENTS}/seg-01", json={"name": "Savers"})
        peopled.model.failure = peopled.registry.failure = DOWN
        assert peopled.client.get(SEGMENTS).json["items"][0]["name"] == "Savers"

    def test_a_name_is_given_though_it_cannot_be_kept(self, peopled: FakeGateway) -> None:
        peopled.descriptions.failure = StoreUnavailable("away")
        answer = peopled.client.patch(f"{SEGMENTS}/seg-01", json={"name": "Savers"})
        assert (answer.status_code, answer.json["name"]) == (200, "Savers")


EARLIER = datetime(2026, 1, 1)


class TestSizesOverTime:
    def test_are_the_points_of_each_step(self, peopled: FakeGateway) -> None:
        counted = peopled.count_segments()
        for hours in range(5):
            at = EARLIER + timedelta(hours=hours)
            peopled.snapshots.keep("test", replace(counted, as_of=at))
        first = peopled.client.get(f"{SEGMENTS}/sizes?since=2026-01-01T01:30:00Z&until=2026-01-01T04:00:00Z&limit=2")
        second = peopled.client.get(first.headers["Link"].partition(">")[0].lstrip("<"))
        points = [*first.json["items"], *second.json["items"]]
        assert [point["as_of"] for point in points] == [f"2026-01-01T0{hour}:00:00Z" for hour in (1, 2, 3)]
        assert (len(first.json["items"]), second.json["next_cursor"]) == (2, None)
        assert (points[0]["customers"], points[0]["pending"]) == (6, 1)
        assert [(s["id"], s["size"], s["share"]) for s in points[0]["segments"]] == [
            ("seg-01", 3, 0.6),
            ("seg-02", 1, 0.2),
            ("seg-09", 1, 0.2),
        ]
        days = peopled.client.get(f"{SEGMENTS}/sizes?step=day&until=2026-02-01T00:00:00Z").json["items"]
        assert [point["as_of"] for point in days] == ["2026-01-01T04:00:00Z"]

    def test_of_a_base_that_was_never_counted(self, gateway: FakeGateway) -> None:
        assert gateway.client.get(f"{SEGMENTS}/sizes").json == {"items": [], "next_cursor": None}

    @pytest.mark.parametrize(
        "query",
        [
            *("step=week", "since=yesterday", "limit=0", "cursor=x", "to=1"),
            "until=2026-01-01T00:00:00Z&since=2026-01-01T00:00:01Z",
        ],
    )
    def test_in_a_wrong_query(self, gateway: FakeGateway, query: str) -> None:
        name = query.partition("=")[0]
        assert_problem(gateway.client.get(f"{SEGMENTS}/sizes?{query}"), 422, "validation_failed", [f"?{name}"])


class TestTransitions:
    @pytest.fixture
    def moved(self, gateway: FakeGateway) -> History:
        """What happened to the customers of the gateway."""
        history = History(1)
        gateway.store.insert_many(history.customers())
        gateway.changes.entries = {entry["position"]: entry for entry in history.entries}
        gateway.changes.kept = Memory(0, START, START)
        return history

    def test_are_a_matrix_with_money_and_causes(self, gateway: FakeGateway, moved: History) -> None:
        since, until = START + timedelta(seconds=30), START + timedelta(seconds=90)
        answer = gateway.client.get(f"{SEGMENTS}/transitions?since=2026-03-01T12:00:30Z&until=2026-03-01T12:01:30Z")
        expected, causes = moved.moves(since, until)
        assert (answer.json["since"], answer.json["until"]) == ("2026-03-01T12:00:30Z", "2026-03-01T12:01:30Z")
        assert {(t["from"], t["to"]): t["customers"] for t in answer.json["items"]} == expected
        assert sum((Counter(t["causes"]) for t in answer.json["items"]), Counter()) == causes
        assert answer.json["moved"] == sum(n for (left, right), n in expected.items() if left and right)
        assert answer.json["entered"] == sum(n for (left, _), n in expected.items() if left is None)
        assert answer.json["left"] == sum(n for (_, right), n in expected.items() if right is None)
        for each in answer.json["items"]:
            assert each["stored"] == each["money"]["BALANCE"]["known"] <= each["customers"]

    def test_go_on_to_what_the_log_has(self, gateway: FakeGateway, moved: History) -> None:
        waits = START + timedelta(seconds=100)
        gateway.outboxes.add([moved.entries[-1] | {"at": waits}])
        for until in ("", "&until=2026-03-01T12:02:00Z"):
            answer = gateway.client.get(f"{SEGMENTS}/transitions?since=2026-03-01T12:00:00Z{until}").json
            assert answer["until"] == "2026-03-01T12:01:39.999000Z"

    def test_from_before_the_log(self, gateway: FakeGateway, moved: History) -> None:
        answer = gateway.client.get(f"{SEGMENTS}/transitions?since=2026-03-01T11:59:59Z")
        assert_problem(answer, 410, "as_of_expired", ["?since"])
        assert answer.json["errors"][0]["detail"] == "must be 2026-03-01T12:00:00Z or later"

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("", "since"),
            ("since=2026-03-01", "since"),
            ("since=2026-03-01T12:00:00Z&until=2026-03-01T11:00:00Z", "until"),
            ("since=9999-01-01T00:00:00Z", "since"),
            ("since=2026-03-01T12:00:00Z&limit=1", "limit"),
        ],
    )
    def test_in_a_wrong_query(self, gateway: FakeGateway, query: str, name: str) -> None:
        answer = gateway.client.get(f"{SEGMENTS}/transitions?{query}")
        assert_problem(answer, 422, "validation_failed", [f"?{name}"])


class TestMembers:
    def test_are_the_list_of_customers_of_the_segment(self, peopled: FakeGateway) -> None:
        first = peopled.client.get(f"{SEGMENTS}/seg-01/customers?limit=2&count=exact&fields=CUST_ID")
        second = peopled.client.get(first.headers["Link"].partition(">")[0].lstrip("<"))
        assert (first.json["items"], first.json["total"]) == ([{"CUST_ID": "C0"}, {"CUST_ID": "C1"}], 3)
        assert (second.json["items"], second.json["next_cursor"]) == ([{"CUST_ID": "C2"}], None)
        listed = peopled.client.get(f"{CUSTOMERS}?segment=seg-01").json
        assert peopled.client.get(f"{SEGMENTS}/seg-01/customers").json == listed

    def test_all_conditions_hold(self, peopled: FakeGateway) -> None:
        path = f"{SEGMENTS}/seg-01/customers"
        assert len(peopled.client.get(f"{path}?CUST_ID[gt]=C0").json["items"]) == 2
        assert_problem(peopled.client.get(f"{path}?segment=seg-02"), 422, "validation_failed", ["?segment"])

    def test_of_an_earlier_time(self, peopled: FakeGateway) -> None:
        at = f"{now().isoformat()}Z"
        answer = peopled.client.get(f"{SEGMENTS}/seg-02/customers?as_of={at}&fields=CUST_ID").json
        assert [customer["CUST_ID"] for customer in answer["items"]] == ["C3"]

    @pytest.mark.parametrize("segment_id", ["seg-77", "%C3%A4", "x" * 1000])
    def test_of_a_segment_that_nobody_is_in(self, peopled: FakeGateway, segment_id: str) -> None:
        assert peopled.client.get(f"{SEGMENTS}/{segment_id}/customers").json["items"] == []


class TestLabels:
    @pytest.mark.parametrize("content_type", ["application/json", "application/merge-patch+json"])
    def test_are_given_by_a_merge_patch(self, peopled: FakeGateway, content_type: str) -> None:
        text = '{"name": "Savers", "description": "Pay late", "owner": "ann", "by": "ben"}'
        answer = peopled.send("PATCH", f"{SEGMENTS}/seg-01", text, content_type)
        assert answer.status_code == 200
        assert {n: answer.json[n] for n in ("name", "derived_name", "description", "owner", "size")} == {
            "name": "Savers",
            "derived_name": "Low balance",
            "description": "Pay late",
            "owner": "ann",
            "size": 3,
        }
        assert peopled.registry.orders == [("label", "seg-01", json.loads(text))]
        read = peopled.client.get(f"{SEGMENTS}/seg-01").json
        assert read | {"described_at": answer.json["described_at"]} == answer.json

    def test_are_cleared_by_null(self, peopled: FakeGateway) -> None:
        for name in ("Savers", None):
            answer = peopled.client.patch(f"{SEGMENTS}/seg-01", json={"name": name})
        assert answer.json["name"] == "Low balance"

    def test_say_what_to_do_until_null_brings_back_what_follows_by_rule(self, peopled: FakeGateway) -> None:
        answer = peopled.client.patch(f"{SEGMENTS}/seg-01", json={"actions": ["Write to them"], "by": "ben"})
        assert (answer.json["actions"], answer.json["derived_actions"]) == (["Write to them"], ["Call them"])
        assert answer.json["labelled_by"] == "ben"
        known = answer.json["labelled_at"]
        answer = peopled.client.patch(f"{SEGMENTS}/seg-01", json={"actions": None, "if_labelled_at": known})
        assert answer.json["actions"] == ["Call them"]

    def test_do_not_overwrite_what_somebody_else_has_changed_meanwhile(self, peopled: FakeGateway) -> None:
        known = peopled.client.get(f"{SEGMENTS}/seg-01").json["labelled_at"]
        peopled.client.patch(f"{SEGMENTS}/seg-01", json={"owner": "ann"})
        answer = peopled.client.patch(f"{SEGMENTS}/seg-01", json={"owner": "ben", "if_labelled_at": known})
        assert_problem(answer, 409, "label_changed")
        assert peopled.client.get(f"{SEGMENTS}/seg-01").json["owner"] == "ann"

    @pytest.mark.parametrize("segment_id", ["seg-09", "%C3%A4", "..", "x" * 1000])
    def test_of_a_segment_that_the_active_model_does_not_have(self, peopled: FakeGateway, segment_id: str) -> None:
        answer = peopled.client.patch(f"{SEGMENTS}/{segment_id}", json={"name": "x"})
        assert_problem(answer, 404, "segment_not_found")
        assert peopled.registry.orders == []

    def test_that_are_refused(self, peopled: FakeGateway) -> None:
        class Refuses(FakeRegistry):
            def label(self, segment_id: str, changes: Payload) -> Label:
                raise RegistryRefusal(409, "name_taken", "seg-02 is called so already")

        gateway = FakeGateway(store=peopled.store, registry=Refuses(), snapshots=peopled.snapshots)
        answer = gateway.client.patch(f"{SEGMENTS}/seg-01", json={"name": "x"})
        assert_problem(answer, 409, "name_taken")

    @pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
    def test_need_the_model_service(
        self, gateway: FakeGateway, failure: ModelServiceError, status: int, code: str
    ) -> None:
        gateway.registry.failure = failure
        assert_problem(gateway.client.patch(f"{SEGMENTS}/seg-01", json={}), status, code)

    def test_in_a_wrong_body(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.send("PATCH", f"{SEGMENTS}/seg-01", "{"), 400, "malformed_json")
        assert_problem(gateway.client.patch(f"{SEGMENTS}/seg-01", json=["x"]), 422, "validation_failed", [""])
        assert_problem(gateway.send("PATCH", f"{SEGMENTS}/seg-01", "x", "text/plain"), 415, "unsupported_media_type")
        assert gateway.registry.orders == []


class TestHealth:
    def test_live_asks_nobody(self, gateway: FakeGateway) -> None:
        gateway.store.failure, gateway.model.failure = StoreUnavailable("away"), DOWN
        answer = gateway.client.get("/health/live")
        assert (answer.status_code, answer.json) == (200, {"status": "ok"})

    def test_ready(self, gateway: FakeGateway) -> None:
        answer = gateway.client.get("/health/ready")
        assert answer.status_code == 200
        damage = {"fallback": None, "labels": None, "features": None, "schema_missing": []}
        assert answer.json == {"status": "ok", "database": "ok", "model_service": "ok", "model_version": "v1"} | damage

    @pytest.mark.parametrize("member", ["fallback", "labels"])
    def test_ready_though_something_of_the_model_is_damaged(self, gateway: FakeGateway, member: str) -> None:
        setattr(gateway.model, member, "the file is damaged")
        answer = gateway.client.get("/health/ready")
        assert (answer.status_code, answer.json["model_version"]) == (200, "v1")
        assert (answer.json["model_service"], answer.json[member]) == ("ok", "the file is damaged")

    def test_ready_says_that_stored_customers_lack_what_the_model_needs(self, gateway: FakeGateway) -> None:
        gateway.client.post(CUSTOMERS, json=body())
        del gateway.store.customers["C1"]["TENURE"]
        assert gateway.client.get("/health/ready").json["features"] is None, "it has been assigned"
        gateway.model.current = "v2"
        said = "Stored customers lack TENURE, which the model needs; they are assigned when it has been added."
        assert gateway.client.get("/health/ready").json["features"] == said

    def test_ready_without_the_model_because_writes_need_none(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        answer = gateway.client.get("/health/ready")
        assert (answer.status_code, answer.json["status"], answer.json["model_version"]) == (200, "ok", None)
        assert answer.json["model_service"] == str(DOWN)
        assert answer.json["fallback"] is answer.json["labels"] is None

    def test_not_ready_without_the_database(self, gateway: FakeGateway) -> None:
        gateway.store.failure = StoreUnavailable("The database has no primary.")
        answer = gateway.client.get("/health/ready")
        assert_problem(answer, 503, "store_unavailable")
        assert answer.headers["Retry-After"] == "1"


def test_the_index_leads_to_everything(gateway: FakeGateway) -> None:
    links = gateway.client.get("/").json["links"]
    of_the_api = {
        r.path.split("/")[1] for resource in registered(gateway.app) if resource.prefix for r in resource.routes
    }
    linked = {path.removeprefix("/api/v1/").split("/")[0] for path in links.values() if path.startswith("/api/v1/")}
    assert of_the_api - linked == {"erasures"}  # which are asked for by CUST_ID
    assert {"documentation", "openapi", "health"} <= set(links)
    for name, path in links.items():
        assert gateway.client.get(path).status_code == (405 if name == "predictions" else 200)


def test_the_list_waits_for_the_model_no_longer_than_a_prediction() -> None:
    gateway = FakeGateway(settings=Settings(prediction_deadline=1.25))
    assert gateway.client.get(SEGMENTS).status_code == 200
    assert gateway.model.deadlines == [1.25]


@pytest.mark.parametrize("path", [CUSTOMERS, f"{CUSTOMERS}/C1", SEGMENTS, f"{SEGMENTS}/seg-01"])
def test_reading_without_the_database(gateway: FakeGateway, path: str) -> None:
    gateway.store.failure = StoreUnavailable("the database cannot be reached at the moment")
    answer = gateway.client.get(path)
    assert_problem(answer, 503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_a_database_that_refuses(gateway: FakeGateway) -> None:
    gateway.store.failure = StoreError("the database refused the operation")
    assert_problem(gateway.client.get(CUSTOMERS), 500, "store_error")
