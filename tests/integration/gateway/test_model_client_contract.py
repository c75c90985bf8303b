"""The client of the model service holds every answer to the wire contract, field by field."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contracts.model import POOR
from fakes.model import FakeModel, explanation
from support.scripted_server import Request, ScriptedServer, always, http, serving

from gateway.data_access.model_service.client import ModelServiceClient
from gateway.data_access.model_service.model import HttpModel
from gateway.services.errors import ModelMalformed, ModelRefused
from gateway.services.models.model import Move, PredictionOptions
from shared.features import DISTANCE_NAMES
from shared.problems import problem

COLUMNS = {name: [POOR[name]] for name in DISTANCE_NAMES}
PREDICTION = FakeModel().predict(POOR, 1.0)
MOVE = Move("v1", "seg-01", "seg-02", {"BALANCE": [1.0, 5_000.0]})
SCORES = FakeModel().score(COLUMNS)
SUMMARY = FakeModel().active()
RUBBISH: list[Any] = [None, "x", -1, True, [], {}, 0.5, ["x"], [None], [{}], [-2], [7], [0.5], [True], [[]]]


def _without(answer: Any, name: str) -> Any:
    return {key: value for key, value in answer.items() if key != name}


def _wrong_values(answer: Any, right: dict[str, list[Any]]) -> Iterator[Any]:
    """Every field of the answer once missing and once with each rubbish that is not right there."""
    for name in answer:
        yield _without(answer, name)
        for rubbish in RUBBISH:
            if not any(rubbish == r and type(rubbish) is type(r) for r in right.get(name, [])):
                yield answer | {name: rubbish}


class TestContract:
    """An answer that breaks the contract anywhere is neither stored nor passed on."""

    def test_of_predict(self) -> None:
        right = {
            "confidence": [0.5],
            "cluster": [],
            "borderline": [True],
            "rival": [None],
            "distance": [0.5],
            "margin": [0.5],
            "model_version": ["x"],
            "imputed": [[], ["x"]],
            "warnings": [[]],
        }
        refs = [{"id": 1, "name": "x"}, {"id": "x", "name": None}, {"id": "x"}, {"name": "x"}]
        answers = [
            *_wrong_values(PREDICTION, right),
            *(PREDICTION | {n: r} for n in ("segment", "rival") for r in refs),
        ]
        answers += [PREDICTION | {"confidence": value} for value in (1.5, -0.1)]
        answers += [PREDICTION | {"warnings": [{"pointer": "/BALANCE", "code": 1, "detail": "x"}]}]
        _all_refused(lambda model: model.predict(POOR, 5.0), answers)

    def test_of_explanations(self) -> None:
        good = explanation(POOR, 0)
        wrong = [_without(good, name) for name in good]
        wrong += [good | {name: rubbish} for name in good for rubbish in RUBBISH if not _allowed(name, rubbish)]
        wrong += [
            good | {"contributions": [{}]},
            good | {"counterfactual": _without(good["counterfactual"], "segment")},
        ]
        answers = [PREDICTION, *(PREDICTION | {"explanation": value} for value in (*wrong, *RUBBISH))]
        options = PredictionOptions(explain=True)
        _all_refused(lambda model: model.predict(POOR, 5.0, options), answers)
        _all_refused(lambda model: model.predict_batch([POOR], 5.0, options), [{"predictions": [a]} for a in answers])

    def test_of_predict_batch(self) -> None:
        batches = [[], [PREDICTION] * 2, {}, "x", None, ["error"], [["error"]], [{"error": None}], [{"error": {}}]]
        batches += [[rubbish] for rubbish in RUBBISH] + [[_without(PREDICTION, "segment")]]
        _all_refused(lambda model: model.predict_batch([POOR], 5.0), [{"predictions": batch} for batch in batches])

    def test_of_explain_move(self) -> None:
        good: Any = FakeModel().explain_move(MOVE, 1.0)
        right = {"model_version": ["x"], "change": [-1, 0.5], "contributions": [[]], "sentence": ["x"]}
        (contribution,) = good["contributions"]
        kept = {
            "feature": [],
            "unit": ["x"],
            "before": [None, -1, 0.5],
            "after": [None, -1, 0.5],
            "contribution": [-1, 0.5],
            "share": [0.5],
            "sentence": ["x"],
        }
        answers = [*_wrong_values(good, right)]
        answers += [good | {"contributions": [wrong]} for wrong in _wrong_values(contribution, kept)]
        answers += [
            good | {"contributions": [contribution | wrong]} for wrong in ({"share": 1.1}, {"feature": "TENURE"})
        ]
        _all_refused(lambda model: model.explain_move(MOVE, 5.0), answers)

    def test_of_score(self) -> None:
        right = {"model_version": ["x"], "cluster": [], "rival": [[-1]], "confidence": [[0.5]]}
        read = {name: SCORES[name] for name in (*right, "segments")}
        answers = [_without(SCORES, name) for name in read]
        answers += [SCORES | wrong for wrong in _wrong_values(read, right) if set(wrong) == set(read)]
        answers += [SCORES | {"cluster": places} for places in ([2], [-1], [0, 0], [0.0])]
        answers += [SCORES | {"rival": places} for places in ([2], [-2], [0, 0], [0.0])]
        answers += [SCORES | {"confidence": values} for values in ([1.5], [-0.1], [0.5, 0.5], ["0.5"])]
        _all_refused(lambda model: model.score(COLUMNS), answers)

    def test_of_version(self) -> None:
        _all_refused(lambda model: model.version(), [*RUBBISH, {"model_version": None}, {"model_version": 1}])
        wrong = [{"model_version": "v1", name: value} for name in ("fallback", "labels") for value in (1, True, [], {})]
        _all_refused(lambda model: model.status(), wrong)

    def test_of_what_the_model_needs(self) -> None:
        for said, needs in (({}, (None, ())), ({"required": ["TENURE"], "removed": ["AGE"]}, (("TENURE",), ("AGE",)))):
            with serving(always(http(json.dumps({"model_version": "v1"} | said)))) as server:
                assert HttpModel(ModelServiceClient(server.url), 5.0).status()[3:] == needs

    @pytest.mark.parametrize(
        ("pointers", "whole"),
        [(["/columns/BALANCE/3"], False), (["/columns/AGE"], True), (["/TENURE"], False), ([], False)],
    )
    def test_of_whose_fault_a_refusal_is(self, pointers: list[str], whole: bool) -> None:
        errors = [{"pointer": pointer, "detail": "is not a known field"} for pointer in pointers]
        text = json.dumps(problem(422, "validation_failed", "no", "r", errors))  # type: ignore[arg-type]  # FieldErrors
        with serving(always(http(text, "422 Unprocessable Content"))) as server, pytest.raises(ModelRefused) as caught:
            HttpModel(ModelServiceClient(server.url), 5.0).score(COLUMNS)
        assert caught.value.whole is whole
        assert all(pointer in str(caught.value) for pointer in pointers)

    def test_of_what_is_damaged(self) -> None:
        for said, status in (({"fallback": "x"}, ("v1", "x", None)), ({"labels": "y"}, ("v1", None, "y"))):
            with serving(always(http(json.dumps({"model_version": "v1"} | said)))) as server:
                assert HttpModel(ModelServiceClient(server.url), 5.0).status()[:3] == status

    def test_of_active(self) -> None:
        segment = SUMMARY["segments"][0]
        answers = [SUMMARY | {"version": value} for value in (None, 1, [])]
        answers += [_without(SUMMARY, "version"), _without(SUMMARY, "segments")]
        answers += [SUMMARY | {"segments": value} for value in (None, "x", 1, ["x"], [None], {"a": 1})]
        read = ("id", "name", "size", "share", "actions", "profile")
        answers += [SUMMARY | {"segments": [_without(segment, name)]} for name in read]
        answers += [SUMMARY | {"segments": [segment | {name: None}]} for name in read]
        _all_refused(lambda model: model.active(), answers)

    def test_of_a_model_of_one_segment(self) -> None:
        with serving(always(http(json.dumps(PREDICTION | {"rival": None})))) as server:
            assert HttpModel(ModelServiceClient(server.url), 5.0).predict(POOR, 5.0)["rival"] is None

    def test_of_an_error_for_a_row(self) -> None:
        refusal = {"error": problem(422, "validation_failed", "no")}
        with serving(always(http(json.dumps({"predictions": [refusal]})))) as server:
            assert HttpModel(ModelServiceClient(server.url), 5.0).predict_batch([POOR], 5.0) == [refusal]


def _allowed(name: str, rubbish: Any) -> bool:
    if name == "contributions":
        return bool(rubbish == [])
    allowed = {"gap": (int, float), "sentence": (str,), "counterfactual": (type(None),)}[name]
    return type(rubbish) in allowed


def _all_refused(call: Callable[[HttpModel], object], answers: list[Any]) -> None:
    """Assert that each answer breaks the contract; one server gives them in turn."""
    left = iter(answers)

    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        connection.sendall(http(json.dumps(next(left))))
        return True

    with serving(script) as server:
        model = HttpModel(ModelServiceClient(server.url), 5.0)
        accepted = [answer for answer in answers if not _refused(call, model)]
    assert accepted == []


def _refused(call: Callable[[HttpModel], object], model: HttpModel) -> bool:
    try:
        call(model)
    except ModelMalformed:
        return True
    return False
