"""Predictions over HTTP: one customer, many, and what goes wrong with the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from fakes.gateway import PREDICTIONS, FakeGateway
from fakes.model import DOWN, MALFORMED, OTHER, SLOW, FakeModel, explanation
from support.customers import body, inputs
from support.problems import assert_problem

from gateway.services.customers.customer import Features
from gateway.services.errors import ModelServiceError
from gateway.services.models.model import DEFAULT_OPTIONS, PredictionOptions
from shared.contract import MAX_BATCH, Prediction, RowError
from shared.features import CUST_ID
from shared.problems import REQUEST_ID_HEADER, problem

FAILURES = [(DOWN, 503, "model_unavailable"), (SLOW, 504, "model_timeout"), (MALFORMED, 502, "model_malformed")]


class TestOne:
    def test_answers_the_models_prediction(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(PREDICTIONS, json=inputs(BALANCE=5_000, CREDIT_LIMIT=None))
        assert answer.status_code == 200
        assert {k: v for k, v in answer.json.items() if k != "warnings"} == {
            "segment": {"id": "seg-02", "name": "High balance"},
            "cluster": 1,
            "confidence": 0.95,
            "borderline": False,
            "rival": {"id": "seg-01", "name": "Low balance"},
            "distance": 1.0,
            "margin": 0.5,
            "model_version": "v1",
            "imputed": ["CREDIT_LIMIT"],
        }
        assert [w["code"] for w in answer.json["warnings"]] == ["missing_limit"]

    def test_stores_nothing_and_waits_for_its_own_deadline(self, gateway: FakeGateway) -> None:
        gateway.client.post(PREDICTIONS, json=inputs())
        assert gateway.store.customers == {}
        assert gateway.model.deadlines == [gateway.settings.prediction_deadline]

    def test_takes_a_stored_customers_features_with_their_id(self, gateway: FakeGateway) -> None:
        assert gateway.client.post(PREDICTIONS, json=body()).status_code == 200

    def test_points_at_a_wrong_id_nevertheless(self, gateway: FakeGateway) -> None:
        assert_problem(gateway.client.post(PREDICTIONS, json=body("a b")), 422, "validation_failed", [f"/{CUST_ID}"])

    @pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
    def test_tells_how_the_model_failed(
        self, gateway: FakeGateway, failure: ModelServiceError, status: int, code: str
    ) -> None:
        gateway.model.failure = failure
        answer = gateway.client.post(PREDICTIONS, json=inputs())
        assert_problem(answer, status, code)
        assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)

    def test_asks_again_at_once_after_a_failure(self, gateway: FakeGateway) -> None:
        gateway.model.failure = DOWN
        gateway.client.post(PREDICTIONS, json=inputs())
        gateway.model.failure = None
        assert gateway.client.post(PREDICTIONS, json=inputs()).status_code == 200


def _many(gateway: FakeGateway, customers: list[Any]) -> Any:
    return gateway.client.post(PREDICTIONS, json={"customers": customers})


class TestMany:
    def test_answers_in_the_order_asked(self, gateway: FakeGateway) -> None:
        answer = _many(gateway, [inputs(), inputs(BALANCE=5_000), inputs(TENURE=3)])
        assert answer.status_code == 200
        assert list(answer.json) == ["predictions"]
        assert [p["segment"]["id"] for p in answer.json["predictions"]] == ["seg-01", "seg-02", "seg-01"]
        assert [[w["code"] for w in p["warnings"]] for p in answer.json["predictions"]] == [
            [],
            ["over_limit"],
            ["short_tenure"],
        ]
        assert gateway.model.calls == [("predict_batch", 3)]
        assert gateway.model.deadlines == [gateway.settings.prediction_deadline], "as a single one, not as an import"

    def test_each_equals_the_prediction_for_one(self, gateway: FakeGateway) -> None:
        customers = [inputs(), inputs(BALANCE=5_000, CREDIT_LIMIT=None)]
        singly = [gateway.client.post(PREDICTIONS, json=customer).json for customer in customers]
        assert _many(gateway, customers).json["predictions"] == singly

    def test_wrong_rows_are_errors_in_their_places(self, gateway: FakeGateway) -> None:
        answer = _many(gateway, [{}, inputs(), inputs(BALANCE="1"), "x", inputs(BALANCE=5_000)])
        places = answer.json["predictions"]
        assert [sorted(place) == ["error"] for place in places] == [True, False, True, True, False]
        assert [e["pointer"] for e in places[2]["error"]["errors"]] == ["/customers/2/BALANCE"]
        assert [e["pointer"] for e in places[3]["error"]["errors"]] == ["/customers/3"]
        assert {places[i]["error"]["status"] for i in (0, 2, 3)} == {422}
        assert places[0]["error"]["request_id"] == answer.headers[REQUEST_ID_HEADER]
        assert gateway.model.calls == [("predict_batch", 2)]

    def test_without_a_sound_row_the_model_is_not_asked(self, gateway: FakeGateway) -> None:
        assert _many(gateway, [{}, {}]).status_code == 200
        assert gateway.model.calls == []

    def test_rows_that_the_model_refuses_stay_errors(self) -> None:
        refusal = RowError(error=problem(422, "validation_failed", "no"))

        class Refusing(FakeModel):
            def predict_batch(
                self, customers: Sequence[Features], deadline: float, options: PredictionOptions = DEFAULT_OPTIONS
            ) -> list[Prediction | RowError]:
                return [refusal, *super().predict_batch(customers[1:], deadline, options)]

        places = _many(FakeGateway(model=Refusing()), [inputs(), inputs()]).json["predictions"]
        assert places[0] == refusal
        assert places[1]["segment"]["id"] == "seg-01"

    @pytest.mark.parametrize("customers", [[], None, {}, "x", 1, [{}] * (MAX_BATCH + 1)])
    def test_bounds(self, gateway: FakeGateway, customers: Any) -> None:
        assert_problem(_many(gateway, customers), 422, "validation_failed", ["/customers"])

    def test_the_largest_batch(self, gateway: FakeGateway) -> None:
        assert len(_many(gateway, [inputs()] * MAX_BATCH).json["predictions"]) == MAX_BATCH

    def test_stands_alone_in_the_body(self, gateway: FakeGateway) -> None:
        answer = gateway.client.post(PREDICTIONS, json={"customers": [inputs()], "explain": True})
        assert_problem(answer, 422, "validation_failed", ["/customers"])

    @pytest.mark.parametrize(("failure", "status", "code"), FAILURES)
    def test_tells_how_the_model_failed(
        self, gateway: FakeGateway, failure: ModelServiceError, status: int, code: str
    ) -> None:
        gateway.model.failure = failure
        assert_problem(_many(gateway, [inputs()]), status, code)


class TestQuery:
    def test_explains_one(self, gateway: FakeGateway) -> None:
        sent = inputs(BALANCE=5_000)
        answer = gateway.client.post(f"{PREDICTIONS}?explain=true", json=sent).json
        assert answer.pop("explanation") == explanation(sent, 1)
        assert answer == gateway.client.post(f"{PREDICTIONS}?explain=false", json=sent).json

    def test_explains_many(self, gateway: FakeGateway) -> None:
        rows = [inputs(), {}, inputs(BALANCE=5_000)]
        answer = gateway.client.post(f"{PREDICTIONS}?explain=true", json={"customers": rows}).json["predictions"]
        assert [place.get("explanation") for place in answer] == [
            explanation(rows[0], 0),
            None,
            explanation(rows[2], 1),
        ]

    @pytest.mark.parametrize(("query", "version"), [(OTHER, OTHER), ("active", "v1")])
    def test_asks_the_version_named(self, gateway: FakeGateway, query: str, version: str) -> None:
        one = gateway.client.post(f"{PREDICTIONS}?version={query}", json=inputs()).json
        many = gateway.client.post(f"{PREDICTIONS}?version={query}", json={"customers": [inputs()]}).json
        assert one["model_version"] == many["predictions"][0]["model_version"] == version

    @pytest.mark.parametrize("body", [inputs(), {"customers": [inputs()]}])
    def test_a_version_that_is_not_there(self, gateway: FakeGateway, body: Any) -> None:
        answer = gateway.client.post(f"{PREDICTIONS}?version=20200101T000000Z-00000000", json=body)
        assert_problem(answer, 404, "version_not_found")

    @pytest.mark.parametrize(
        ("query", "pointers"),
        [
            ("explain=yes", ["?explain"]),
            ("explain=", ["?explain"]),
            ("explain=TRUE", ["?explain"]),
            ("explain=true&explain=true", ["?explain"]),
            ("version=", ["?version"]),
            ("version=v1", ["?version"]),
            ("version=../active", ["?version"]),
            (f"version={OTHER}%0A", ["?version"]),
            ("explain=true&deep=1&k=2", ["?deep", "?k"]),
            ("%F0%9F%99%82", ["?🙂"]),
        ],
    )
    def test_that_breaks_the_rules(self, gateway: FakeGateway, query: str, pointers: list[str]) -> None:
        assert_problem(gateway.client.post(f"{PREDICTIONS}?{query}", json=inputs()), 422, "validation_failed", pointers)
        assert gateway.model.calls == []
