"""Trainings: begin one, follow it, stop it."""

from __future__ import annotations

from gateway.openapi.headers import LOCATION
from gateway.openapi.operation import BINARY, TEXT, Answer, Body, Link, Operation, Resource
from gateway.openapi.problems import MODEL, STORE
from gateway.services.models.registry import Trainings
from shared.features import CUST_ID, INPUTS
from shared.model_contract import CSV, PARQUET, Training

_TRAINING = "/api/v1/trainings/{training_id}"
_REFUSALS = ("training_running", "request_timeout", "length_required", "store_not_writable", "analysis_busy")
_COLUMNS = ", ".join(f.name for f in INPUTS)

TRAININGS = Resource(
    "Trainings",
    "Background processes, one at a time, that make a new version of the model.",
    {
        "POST /api/v1/models": Operation(
            "trainModel",
            "Train a new version",
            "On the stored customers, or on the file in the body. The new version waits until it is activated, unless "
            "`activate=true` and the gate lets it pass.",
            {
                202: Answer(
                    "The training has begun",
                    Training,
                    headers=(LOCATION,),
                    links={
                        "read": Link("getTraining", {"training_id": "$response.body#/id"}),
                        "log": Link("getTrainingLog", {"training_id": "$response.body#/id"}),
                        "cancel": Link("cancelTraining", {"training_id": "$response.body#/id"}),
                    },
                )
            },
            Body(BINARY, f"The columns {_COLUMNS}, and {CUST_ID} if there are ids", (PARQUET, CSV), required=False),
            (*_REFUSALS, *MODEL, *STORE),
        ),
        "GET /api/v1/trainings": Operation(
            "listTrainings",
            "List the latest trainings",
            "Newest first.",
            {200: Answer("The latest trainings", Trainings)},
            problems=MODEL,
        ),
        f"GET {_TRAINING}": Operation(
            "getTraining",
            "Say how far a training is, or how it ended",
            "",
            {200: Answer("The training", Training)},
            problems=("training_not_found", *MODEL),
        ),
        f"GET {_TRAINING}/log": Operation(
            "getTrainingLog",
            "Read what a training has said so far",
            "",
            {200: Answer("The log", TEXT, ("text/plain",))},
            problems=("training_not_found", *MODEL),
        ),
        f"POST {_TRAINING}/cancel": Operation(
            "cancelTraining",
            "Ask a training to stop",
            "It does so within a second or so.",
            {202: Answer("The training, which is about to stop", Training)},
            problems=("training_not_found", "training_ended", *MODEL),
        ),
    },
)
