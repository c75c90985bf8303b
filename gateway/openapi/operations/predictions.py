"""Predictions for customers that are not stored."""

from __future__ import annotations

from gateway.openapi.components import reference
from gateway.openapi.operation import Answer, Body, Operation, Resource
from gateway.openapi.problems import MODEL
from shared.contract import MAX_BATCH, BatchAnswer, Prediction

PREDICTIONS = Resource(
    "Predictions",
    "Segments of customers that are not stored.",
    {
        "POST /api/v1/predictions": Operation(
            "predict",
            "Predict the segment of one customer or of many",
            f'Features of one customer, or `{{"customers": [...]}}` with those of up to {MAX_BATCH:,}: that answers '
            "with a prediction or an error for each, in the order asked. Nothing is stored.",
            {200: Answer("The prediction, or one entry for every customer", Prediction | BatchAnswer)},
            Body({"anyOf": [reference("CustomerFeatures"), reference("PredictionBatch")]}),
            ("version_not_found", "artefact_damaged", "incompatible_model", "labels_differ", "model_refused", *MODEL),
        ),
    },
)
