"""Predictions for customers that are not stored."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.services.customers.customer import Features, ignored
from gateway.services.models.model import DEFAULT_OPTIONS, Model, PredictionOptions
from shared.contract import Prediction, RowError
from shared.features import complete
from shared.findings import findings


class PredictionService:
    """Forwards customers to the model and adds the soft findings, which need no model.

    Parameters
    ----------
    deadline : seconds to wait for the predictions of one customer, or of a batch.
    """

    def __init__(self, model: Model, deadline: float) -> None:
        self._model = model
        self._deadline = deadline

    def predict(self, sent: Features, options: PredictionOptions = DEFAULT_OPTIONS) -> Prediction:
        """Return one customer's prediction.

        Raises
        ------
        ModelServiceError, RegistryRefusal
        """
        features = complete(sent)
        prediction = self._model.predict(features, self._deadline, options)
        prediction["warnings"] = findings(features, sent) + ignored(sent) + prediction["warnings"]
        return prediction

    def predict_batch(
        self, rows: Sequence[Features | RowError], options: PredictionOptions = DEFAULT_OPTIONS
    ) -> list[Prediction | RowError]:
        """Return a prediction or an error for every row, in order; rows that come in as errors stay so.

        Raises
        ------
        ModelServiceError, RegistryRefusal
        """
        sound = [row for row in rows if "error" not in row]
        scored = iter(self._predict_sound(sound, options) if sound else [])
        return [next(scored) if "error" not in row else row for row in rows]  # type: ignore[misc]  # told apart by "error"

    def _predict_sound(self, rows: Sequence[Features], options: PredictionOptions) -> list[Prediction | RowError]:
        completed = [complete(row) for row in rows]
        answers = self._model.predict_batch(completed, self._deadline, options)
        for sent, features, answer in zip(rows, completed, answers, strict=True):
            if "error" not in answer:
                answer["warnings"] = findings(features, sent) + ignored(sent) + answer["warnings"]
        return answers
