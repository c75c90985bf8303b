"""What the OpenAPI text says about each route. Answers are dumped as they are; these models only describe them."""

from __future__ import annotations

from typing import Any

from model_service.api.customers import CustomerFeatures
from model_service.api.schemas import answer_model
from shared import contract
from shared.features import INPUTS
from shared.problems import MEDIA_TYPE, Problem

_customer = CustomerFeatures.model_json_schema()
_problem_schema = answer_model(Problem).model_json_schema()
_columns = {
    "type": "object",
    "additionalProperties": False,
    "required": [f.name for f in INPUTS if not f.nullable],
    "properties": {
        name: {"type": "array", "maxItems": contract.MAX_COLUMNAR, "items": cell}
        for name, cell in _customer["properties"].items()
    },
}
_customers = {"type": "array", "maxItems": contract.MAX_BATCH, "items": _customer}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _object_with(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": [name], "properties": {name: schema}}


def _problems(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    return {
        int(status.removeprefix("s")): {"description": text, "content": {MEDIA_TYPE: {"schema": _problem_schema}}}
        for status, text in descriptions.items()
    }


_NO_MODEL = {"s503": "No model is loaded"}
_BAD_BODY = {
    "s400": "Malformed JSON",
    "s413": "Body too large",
    "s415": "Body is not application/json",
    "s422": "Values that are not allowed, each with a JSON pointer",
}

PREDICT: dict[str, Any] = {
    "summary": "Predict one customer's segment",
    "response_model": answer_model(contract.Prediction),
    "openapi_extra": _body(_customer),
    "responses": _problems(**_BAD_BODY, **_NO_MODEL),
}
PREDICT_BATCH: dict[str, Any] = {
    "summary": "Predict many customers' segments, given as records or as columns",
    "response_model": answer_model(contract.BatchAnswer) | answer_model(contract.ColumnarAnswer),
    "openapi_extra": _body({"oneOf": [_object_with("customers", _customers), _object_with("columns", _columns)]}),
    "responses": _problems(**_BAD_BODY, **_NO_MODEL),
}
ACTIVE_MODEL: dict[str, Any] = {
    "summary": "Describe the active model: segments, profiles, actions, scores of every k tried",
    "response_model": answer_model(contract.ModelSummary),
    "responses": _problems(**_NO_MODEL),
}
LIVE: dict[str, Any] = {"summary": "Whether the process runs", "response_model": dict[str, str]}
READY: dict[str, Any] = {
    "summary": "Whether a model is loaded, which one, and whether it is a fallback for a damaged one",
    "response_model": dict[str, str | None],
    "responses": _problems(**_NO_MODEL),
}
