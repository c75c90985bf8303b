"""What the OpenAPI text says about trainings."""

from __future__ import annotations

from typing import Any

from model_service.api.documentation import problems
from model_service.api.schemas import answer_model
from model_service.api.training_query import TrainingQuery
from shared.features import CUST_ID, INPUTS
from shared.model_contract import CSV, PARQUET, Training

_training = answer_model(Training)
_NOT_FOUND = {"s404": "No training with this id is on record"}
_columns = f"The columns {', '.join(f.name for f in INPUTS)}, and {CUST_ID} if there are ids"


def _text(description: str) -> dict[str, Any]:
    return {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": description}


_id: dict[str, Any] = {
    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
}


def _parameters() -> list[dict[str, Any]]:
    properties = TrainingQuery.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]


CREATE: dict[str, Any] = {
    "summary": "Train a model on an uploaded file of customers, as a background process",
    "status_code": 202,
    "response_model": _training,
    "openapi_extra": {
        "parameters": _parameters(),
        "requestBody": {
            "required": True,
            "description": _columns,
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (CSV, PARQUET)},
        },
    },
    "responses": problems(
        s408="The client sent nothing for too long",
        s409="A training is running already; the detail has its id",
        s413="File too large",
        s415="Neither CSV nor Parquet",
        s422="Parameters that are not allowed, each as ?name, or an empty file",
        s507="The model store has no room for the file",
    ),
}
LIST: dict[str, Any] = {
    "summary": "List the latest trainings, newest first",
    "response_model": dict[str, list[_training]],  # type: ignore[valid-type]  # a model made at run time
}
GET: dict[str, Any] = {
    "summary": "Say how far a training is, or how it ended",
    "openapi_extra": _id,
    "response_model": _training,
    "responses": problems(**_NOT_FOUND),
}
LOG: dict[str, Any] = {
    "summary": "Read what a training has said so far",
    "openapi_extra": _id,
    "responses": {200: _text("The log"), **problems(**_NOT_FOUND)},
}
CANCEL: dict[str, Any] = {
    "summary": "Ask a training to stop; it does so within a second or so",
    "openapi_extra": _id,
    "status_code": 202,
    "response_model": _training,
    "responses": problems(**_NOT_FOUND, s409="The training has ended already"),
}
