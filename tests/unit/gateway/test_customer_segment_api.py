"""The segment of one stored customer over HTTP: as stored, explained, and scored anew."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.customers import assignment
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN, MALFORMED, SEGMENTS, SLOW, explanation
from support.customers import body, stored
from support.problems import assert_problem

from gateway.services.customers.customer import Assignment, Customer
from gateway.services.customers.customers import MAX_ATTEMPTS
from gateway.services.errors import ModelServiceError, StoreUnavailable

PATH = f"{CUSTOMERS}/C1/segment"
FAILURES = [(DOWN, 503, "model_unavailable"), (SLOW, 504, "model_timeout"), (MALFORMED, 502, "model_malformed")]
NOTHING = dict.fromkeys(
    ["segment", "confidence", "borderline", "rival", "model_version", "assigned_at", "since", "cause"]
)


def _with(segment: Assignment | None, **changes: Any) -> FakeGateway:
    gateway = FakeGateway()
    gateway.store.insert(stored("C1", segment, **changes))
    return gateway


def _document(gateway: FakeGateway) -> Customer:
    return gateway.store.customers["C1"]


class TestGet:
    def test_answers_what_is_stored_with_names(self) -> None:
        gateway = _with(assignment("seg-02", rival="seg-01"))
        assert gateway.client.get(PATH).json == {
            "CUST_ID": "C1",
            "segment": SEGMENTS[1],
            "confidence": 0.75,
            "borderline": True,
            "rival": SEGMENTS[0],
            "model_version": "v1",
            "assigned_at": "2024-05-01T12:00:00.123000Z",
            "since": f"{_document(gateway)['created_at'].isoformat(timespec='microseconds')}Z",
            "cause": "import",
            "segment_status": "assigned",
        }
        assert [method for method, _ in gateway.model.calls] == ["active"]
        assert gateway.model.deadlines == [gateway.settings.assignment_deadline]

    @pytest.mark.parametrize(("confidence", "borderline"), [(0.9, False), (0.8999, True)])
    def test_tells_who_is_borderline(self, confidence: float, borderline: bool) -> None:
        gateway = _with({**assignment(), "confidence": confidence})
        assert gateway.client.get(PATH).json["borderline"] is borderline

    def test_of_a_pending_customer_is_null(self) -> None:
        answer = _with(None).client.get(PATH).json
        assert answer == {"CUST_ID": "C1", "segment_status": "pending", **NOTHING}

    def test_of_a_model_of_one_segment_has_no_rival(self) -> None:
        assert _with(assignment(rival=None)).client.get(PATH).json["rival"] is None

    def test_of_an_older_model_may_have_a_name_no_more(self) -> None:
        answer = _with(assignment("seg-09", "v0")).client.get(PATH).json
        assert (answer["segment"], answer["model_version"]) == ({"id": "seg-09", "name": None}, "v0")

    @pytest.mark.parametrize("failure", [DOWN, SLOW, MALFORMED])
    def test_does_without_names_while_the_model_is_away(self, failure: ModelServiceError) -> None:
        gateway = _with(assignment())
        gateway.model.failure = failure
        for _ in range(3):
            answer = gateway.client.get(PATH)
            assert (answer.status_code, answer.json["segment"]) == (200, {"id": "seg-01", "name": None})
        assert len(gateway.model.calls) == 1, "a hung model is not waited for each time"

    def test_changes_nothing(self) -> None:
        gateway = _with(None)
        before = dict(_document(gateway))
        gateway.client.get(f"{PATH}?explain=true")
        assert _document(gateway) == before


class TestExplained:
    def test_by_the_active_model(self) -> None:
        gateway = _with(assignment())
        answer = gateway.client.get(f"{PATH}?explain=true").json
        assert answer["explanation"] == explanation(_document(gateway), 0)
        assert answer["explained"] == {"segment": SEGMENTS[0], "rival": SEGMENTS[1], "model_version": "v1"}

    def test_tells_which_assignment_it_explains(self) -> None:
        """The stored one may be an older model's, until the worker has been there."""
        answer = _with(assignment("seg-02", "v0"), BALANCE=1.0).client.get(f"{PATH}?explain=true").json
        assert (answer["segment"]["id"], answer["explained"]["segment"]["id"]) == ("seg-02", "seg-01")
        assert (answer["model_version"], answer["explained"]["model_version"]) == ("v0", "v1")

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
    def test_needs_the_model(self, method: str, failure: ModelServiceError, status: int, code: str) -> None:
        gateway = _with(assignment())
        before = dict(_document(gateway))
        gateway.model.failure = failure
        assert_problem(gateway.client.open(f"{PATH}?explain=true", method=method), status, code)
        assert _document(gateway) == before


class TestRescore:
    def test_stores_what_the_active_model_says_now(self) -> None:
        gateway = _with(assignment("seg-01", "v0"), BALANCE=5_000)
        before = dict(_document(gateway))
        answer = gateway.client.post(PATH)
        assert (answer.status_code, answer.json["segment"], answer.json["rival"]) == (200, SEGMENTS[1], SEGMENTS[0])
        assert "explanation" not in answer.json
        after = _document(gateway)
        assert (after["segment"]["id"], after["segment"]["model_version"]) == ("seg-02", "v1")
        assert (after["segment_status"], after["updated_at"]) == ("assigned", before["updated_at"])
        assert after["revision"] != before["revision"]
        assert gateway.client.get(PATH).json == answer.json

    def test_explained(self) -> None:
        gateway = _with(None)
        answer = gateway.client.post(f"{PATH}?explain=true").json
        assert answer["explanation"] == explanation(_document(gateway), 0)
        assert gateway.model.calls == [("predict", 1)]

    def test_waits_as_long_as_a_prediction_may_take(self) -> None:
        gateway = _with(None)
        gateway.client.post(PATH)
        assert gateway.model.deadlines == [gateway.settings.prediction_deadline]

    @pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
    def test_loses_nothing_while_the_model_is_away(self, failure: ModelServiceError, status: int, code: str) -> None:
        gateway = _with(assignment())
        before = dict(_document(gateway))
        gateway.model.failure = failure
        answer = gateway.client.post(PATH)
        assert_problem(answer, status, code)
        assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)
        assert _document(gateway) == before

    def test_of_a_customer_changed_meanwhile_scores_the_new_data(self) -> None:
        gateway = _with(None)
        changed = stored("C1", BALANCE=5_000)

        def change() -> None:
            gateway.store.customers["C1"] = changed
            gateway.model.meanwhile = lambda: None

        gateway.model.meanwhile = change
        assert gateway.client.post(PATH).json["segment"] == SEGMENTS[1]
        assert _document(gateway)["BALANCE"] == 5_000

    def test_of_a_customer_deleted_meanwhile(self) -> None:
        gateway = _with(None)
        gateway.model.meanwhile = gateway.store.customers.clear
        assert_problem(gateway.client.post(PATH), 404, "customer_not_found")
        assert gateway.store.customers == {}

    def test_of_a_customer_that_others_keep_changing(self) -> None:
        gateway = _with(None)

        def change() -> None:
            gateway.store.customers["C1"] = stored("C1")

        gateway.model.meanwhile = change
        assert_problem(gateway.client.post(PATH), 409, "contended")
        assert gateway.model.calls == [("predict", 1)] * MAX_ATTEMPTS
        assert _document(gateway)["segment"] is None


@pytest.mark.parametrize("method", ["GET", "POST"])
class TestRefused:
    def test_an_unknown_customer(self, gateway: FakeGateway, method: str) -> None:
        assert_problem(gateway.client.open(PATH, method=method), 404, "customer_not_found")

    def test_an_id_that_cannot_be(self, gateway: FakeGateway, method: str) -> None:
        answer = gateway.client.open(f"{CUSTOMERS}/a b/segment", method=method)
        assert_problem(answer, 422, "validation_failed", ["/CUST_ID"])

    @pytest.mark.parametrize("query", ["explain=1", "explain=true&explain=true", "version=active"])
    def test_a_query_that_breaks_the_rules(self, method: str, query: str) -> None:
        gateway = _with(None)
        answer = gateway.client.open(f"{PATH}?{query}", method=method)
        assert_problem(answer, 422, "validation_failed", [f"?{query.partition('=')[0]}"])
        assert _document(gateway)["segment"] is None

    def test_a_customer_that_lacks_a_feature(self, method: str) -> None:
        gateway = _with(assignment())
        del _document(gateway)["TENURE"]
        answer = gateway.client.open(f"{PATH}?explain=true", method=method)
        assert_problem(answer, 422, "validation_failed", ["/TENURE"])

    def test_without_the_database(self, method: str) -> None:
        gateway = _with(None)
        gateway.store.failure = StoreUnavailable("the database cannot be reached at the moment")
        assert_problem(gateway.client.open(PATH, method=method), 503, "store_unavailable")


def test_an_id_that_is_called_like_a_subresource(gateway: FakeGateway) -> None:
    assert gateway.client.post(CUSTOMERS, json=body("segment")).status_code == 201
    assert gateway.client.get(f"{CUSTOMERS}/segment").status_code == 200
    assert gateway.client.get(f"{CUSTOMERS}/segment/segment").json["CUST_ID"] == "segment"
