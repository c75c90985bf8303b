"""Predictions for customers that are not stored."""

from __future__ import annotations

from gateway.controllers.predictions import PredictionController
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import MODEL, Answer, Body, Operation
from gateway.schemas.queries import EXPLAIN, PREDICTING_VERSION
from gateway.services.principal import Scope
from shared.contract import MAX_BATCH, BatchAnswer, Prediction

_PREDICT = Operation(
    "predict",
    "Predict the segment of one or many customers",
    f'Features of one customer, or `{{"customers": [...]}}` with those of up to {MAX_BATCH:,}: that '
    "answers with a prediction or an error for each, in the same order. Nothing is stored.",
    {200: Answer("The prediction, or one entry for every customer", Prediction | BatchAnswer)},
    Body(("CustomerFeatures", "PredictionBatch")),
    (
        *("version_not_found", "artefact_damaged", "signature_refused", "incompatible_model"),
        *("labels_differ", "model_refused", *MODEL),
    ),
)


def predictions(controller: PredictionController) -> Resource:
    """Return the route that predicts."""
    return Resource(
        "Predictions",
        "Segments of customers that are not stored.",
        (
            Route(
                "POST",
                "/predictions",
                controller.create,
                Scope.PREDICTIONS,
                _PREDICT,
                (EXPLAIN, PREDICTING_VERSION),
                Work.MODEL,
            ),
        ),
    )
