"""What every `Model` with the fake's two segments does: run over the fake itself and over the client of a server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.model import OTHER, SEGMENTS, explanation, move_explanation
from support.customers import inputs

from gateway.services.errors import RegistryRefusal
from gateway.services.models.model import Model, Move, PredictionOptions
from shared.features import DISTANCE_NAMES, complete

POOR = complete(inputs())
RICH = complete(inputs(BALANCE=5_000, MINIMUM_PAYMENTS=None))


class ModelContract:
    """Subclass it in a test module and give it a fixture `model`."""

    def test_predict(self, model: Model) -> None:
        prediction = model.predict(RICH, 5.0)
        assert (prediction["segment"], prediction["rival"]) == (SEGMENTS[1], SEGMENTS[0])
        assert (prediction["cluster"], prediction["model_version"]) == (1, "v1")
        assert prediction["imputed"] == ["MINIMUM_PAYMENTS"]

    def test_predict_batch_keeps_the_order(self, model: Model) -> None:
        assert model.predict_batch([RICH, POOR], 5.0) == [model.predict(RICH, 5.0), model.predict(POOR, 5.0)]

    def test_score_keeps_the_order(self, model: Model) -> None:
        answer = model.score({name: [RICH[name], POOR[name], POOR[name]] for name in DISTANCE_NAMES})
        assert (answer["cluster"], answer["rival"], answer["segments"]) == ([1, 0, 0], [0, 1, 1], SEGMENTS)
        assert (answer["confidence"], answer["model_version"]) == ([0.95] * 3, "v1")

    def test_predict_with_reasons(self, model: Model) -> None:
        prediction = model.predict(RICH, 5.0, PredictionOptions(explain=True))
        assert prediction["explanation"] == explanation(RICH, 1)
        assert "explanation" not in model.predict(RICH, 5.0)

    def test_predict_batch_with_reasons(self, model: Model) -> None:
        options = PredictionOptions(explain=True)
        assert model.predict_batch([RICH, POOR], 5.0, options) == [model.predict(c, 5.0, options) for c in (RICH, POOR)]

    def test_predict_by_a_version(self, model: Model) -> None:
        options = PredictionOptions(version=OTHER)
        assert model.predict(RICH, 5.0, options)["model_version"] == OTHER
        assert model.predict_batch([RICH], 5.0, PredictionOptions(True, OTHER)) == [
            model.predict(RICH, 5.0, PredictionOptions(True, OTHER))
        ]

    def test_predict_by_a_version_that_is_not_there(self, model: Model) -> None:
        for predict in (lambda a: model.predict(RICH, 5.0, a), lambda a: model.predict_batch([RICH], 5.0, a)):
            with pytest.raises(RegistryRefusal) as caught:
                predict(PredictionOptions(version="20200101T000000Z-00000000"))
            assert (caught.value.status, caught.value.code) == (404, "version_not_found")

    def test_explain_move(self, model: Model) -> None:
        move = Move("v1", "seg-01", "seg-02", {"BALANCE": [None, 5_000.0], "TENURE": [11, 12]})
        assert model.explain_move(move, 5.0) == move_explanation(move, *SEGMENTS)

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"version": "20200101T000000Z-00000000"}, "version_not_found"),
            ({"origin": "seg-99"}, "segment_not_found"),
            ({"destination": "seg-99"}, "segment_not_found"),
        ],
    )
    def test_explain_a_move_of_what_is_not_there(self, model: Model, wrong: dict[str, str], code: str) -> None:
        move = replace(Move(OTHER, "seg-01", "seg-02", {"BALANCE": [1.0, 5_000.0]}), **wrong)
        with pytest.raises(RegistryRefusal) as caught:
            model.explain_move(move, 5.0)
        assert (caught.value.status, caught.value.code) == (404, code)

    def test_version(self, model: Model) -> None:
        assert model.version() == "v1"

    def test_status(self, model: Model) -> None:
        assert model.status()[:3] == ("v1", None, None)

    @pytest.mark.parametrize("deadline", [None, 5.0])
    def test_active(self, model: Model, deadline: float | None) -> None:
        summary = model.active(deadline)
        assert summary["version"] == "v1"
        assert [segment["id"] for segment in summary["segments"]] == ["seg-01", "seg-02"]
        assert set(summary["segments"][0]["profile"]) == set(DISTANCE_NAMES)
