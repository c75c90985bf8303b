"""What the OpenAPI text says about trainings."""

from __future__ import annotations

from typing import Any

from model_service.api.documentation import BAD_BODY, accepts, links, problems
from model_service.api.erasure_order import ErasureOrder
from model_service.api.schemas import answer_model
from model_service.api.training_query import TrainingQuery
from shared.features import CUST_ID, INPUTS
from shared.model_contract import CSV, PARQUET, Erased, Training

_training = answer_model(Training)
_FILE = {"type": "string", "format": "binary"}
_EXAMPLE = "\n".join([",".join(f.name for f in INPUTS), ",".join(str(f.minimum + 1) for f in INPUTS), ""])
_of_trainings = ("follow_training", "read_training_log", "cancel_training")
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
            "content": {CSV: {"schema": _FILE, "example": _EXAMPLE}, PARQUET: {"schema": _FILE}},
        },
    },
    "responses": {202: {"links": links("/id", "id", *_of_trainings)}}
    | problems(
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
    "operation_id": "follow_training",
    "summary": "Say how far a training is, or how it ended",
    "openapi_extra": _id,
    "response_model": _training,
    "responses": problems(**_NOT_FOUND),
}
LOG: dict[str, Any] = {
    "operation_id": "read_training_log",
    "summary": "Read what a training has said so far",
    "openapi_extra": _id,
    "responses": {200: _text("The log"), **problems(**_NOT_FOUND)},
}
CANCEL: dict[str, Any] = {
    "operation_id": "cancel_training",
    "summary": "Ask a training to stop; it does so within a second or so",
    "openapi_extra": _id,
    "status_code": 202,
    "response_model": _training,
    "responses": problems(**_NOT_FOUND, s409="The training has ended already"),
}
ERASE: dict[str, Any] = {
    "summary": "Take a customer's id out of the records and logs of trainings, as a person may demand",
    "openapi_extra": accepts(ErasureOrder.model_json_schema()),
    "response_model": answer_model(Erased),
    "responses": problems(
        **BAD_BODY,
        s409="A training runs, or its customers are being received: they may hold this one; try again later",
        s507="The model store cannot be written: its disk is full or read-only",
    ),
}
