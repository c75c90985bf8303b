"""What every `Model` with the fake's two segments does: run over the fake itself and over the client of a server."""

from __future__ import annotations

from fakes.customers import inputs
from fakes.model import SEGMENTS
from gateway.services.ports import Model
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
        assert model.predict_batch([RICH, POOR]) == [model.predict(RICH, 5.0), model.predict(POOR, 5.0)]

    def test_score_keeps_the_order(self, model: Model) -> None:
        answer = model.score({name: [RICH[name], POOR[name], POOR[name]] for name in DISTANCE_NAMES})
        assert (answer["cluster"], answer["rival"], answer["segments"]) == ([1, 0, 0], [0, 1, 1], SEGMENTS)
        assert (answer["confidence"], answer["model_version"]) == ([0.95] * 3, "v1")

    def test_version(self, model: Model) -> None:
        assert model.version() == "v1"

    def test_active(self, model: Model) -> None:
        summary = model.active()
        assert summary["version"] == "v1"
        assert [segment["id"] for segment in summary["segments"]] == ["seg-01", "seg-02"]
        assert set(summary["segments"][0]["profile"]) == set(DISTANCE_NAMES)
