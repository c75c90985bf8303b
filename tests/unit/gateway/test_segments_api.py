"""Segments, health and the index over HTTP."""

from __future__ import annotations

import json

import pytest
from contracts.customers import assignment
from fakes.gateway import CUSTOMERS, SEGMENTS, FakeGateway
from fakes.model import DOWN, MALFORMED, SLOW
from fakes.registry import FakeRegistry
from support.customers import body, stored
from support.descriptions import RULE
from support.problems import assert_problem

from gateway.routes import registered
from gateway.services.errors import ModelServiceError, RegistryRefusal, StoreError, StoreUnavailable
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
