"""Predictions: one customer, or many as records or columns; by the active model or the version named in the query.

Both requests take the direct route (`model_service.api.hot.direct_route`).
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api.bodies import parse, read_body
from model_service.api.customers import CustomerFeatures, accepted, one_row, rows_of_columns, rows_of_records
from model_service.api.errors import ApiError, validation_failed
from model_service.api.hot.direct_route import DirectRoute, json_answer
from model_service.api.openapi import BAD_BODY, NO_MODEL, NO_VERSION, accepts, columns_schema, problems, records_schema
from model_service.metrics import rows_scored
from model_service.scoring.predictor import Predictor
from model_service.settings import Settings
from shared.contract import PREDICT, PREDICT_BATCH, BatchAnswer, ColumnarAnswer, Prediction, RowError
from shared.model_contract import ACTIVE
from shared.problems import FieldError, problem
from shared.telemetry.logs import current_request_id

THREAD_BYTES = 512 * 1024
"""Bodies from this size on are handled in a thread, so that other requests need not wait for them."""


async def predict(request: Request) -> Response:
    """Predict one customer's segment."""
    query = _query(request)
    model: ActiveModel = request.app.state.model
    settings: Settings = request.app.state.settings
    predictor = await model.of(query.version)
    row = one_row(parse(await read_body(request, settings.max_body_bytes)), accepted(predictor.dispensable))
    prediction = predictor.predict_one(row)
    rows_scored(1)
    if query.explain:
        predictor.explain([prediction], row[None])
    return json_answer(prediction)


async def predict_batch(request: Request) -> Response:
    """Predict many customers' segments, given as records or as columns."""
    query = _query(request)
    model: ActiveModel = request.app.state.model
    settings: Settings = request.app.state.settings
    predictor = await model.of(query.version)
    body = await read_body(request, settings.max_body_bytes)
    if len(body) < THREAD_BYTES and not query.explain:
        return _batch(predictor, body, explain=False)
    return await asyncio.to_thread(_batch, predictor, body, query.explain)


class _Query(NamedTuple):
    """What the query asks for."""

    version: str | None = None
    explain: bool = False


_PLAIN = _Query()
_FLAGS = {"true": True, "false": False}


def _query(request: Request) -> _Query:
    """Return what the query asks for; nearly always there is none, and then nothing is parsed."""
    if not request.scope["query_string"]:
        return _PLAIN
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    faults = {name: "is given more than once" for name in names if names.count(name) > 1}
    faults |= {name: "is not a known parameter" for name in names if name not in _Query._fields}
    query = dict(given)
    if query.get("explain", "true") not in _FLAGS:
        faults["explain"] = "must be true or false"
    if faults:
        raise validation_failed([FieldError(pointer=f"?{name}", detail=faults[name]) for name in sorted(faults)])
    return _Query(query.get("version"), _FLAGS[query.get("explain", "false")])


def _batch(predictor: Predictor, body: bytes, explain: bool) -> Response:
    value = parse(body)
    if isinstance(value, dict) and len(value) == 1:
        if "columns" in value:
            if explain:
                detail = 'must be false with "columns": only "customers" can be explained'
                raise validation_failed([FieldError(pointer="?explain", detail=detail)])
            matrix = rows_of_columns(value["columns"], accepted(predictor.dispensable))
            rows_scored(len(matrix))
            return json_answer(predictor.score_columns(matrix))
        if "customers" in value:
            return json_answer(_records(predictor, value["customers"], explain))
    detail = 'must be an object with either "customers" or "columns"'
    raise validation_failed([FieldError(pointer="", detail=detail)])


def _records(predictor: Predictor, customers: Any, explain: bool) -> BatchAnswer:
    rows = rows_of_records(customers, accepted(predictor.dispensable))
    predictions = predictor.predict_batch(rows.matrix)
    rows_scored(len(predictions))
    if explain:
        predictor.explain(predictions, rows.matrix)
    if not rows.errors:
        return BatchAnswer(predictions=list(predictions))
    answers: dict[int, Prediction | RowError] = dict(zip(rows.positions, predictions, strict=True))
    for position, errors in rows.errors.items():
        answers[position] = RowError(error=_row_problem(validation_failed(errors)))
    return BatchAnswer(predictions=[answers[i] for i in range(len(answers))])


def _row_problem(error: ApiError) -> Any:
    return problem(error.status_code, error.code, error.detail, current_request_id.get() or "-", error.errors)


def _object_with(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": [name], "properties": {name: schema}}


_customer = CustomerFeatures.model_json_schema()
_bodies = [
    _object_with("customers", records_schema(_customer)),
    _object_with("columns", columns_schema(_customer)),
]
_parameters = [
    {
        "name": "version",
        "in": "query",
        "description": "The version that predicts; the active one unless given",
        "schema": {"type": "string", "default": ACTIVE},
    },
    {
        "name": "explain",
        "in": "query",
        "description": "Whether to say why each customer is in its segment, and what would move it to the rival",
        "schema": {"type": "boolean", "default": False},
    },
]
_responses = problems(**BAD_BODY, **NO_VERSION, **NO_MODEL, s409="The version cannot be served")

ROUTES = (
    DirectRoute(
        PREDICT,
        predict,
        methods=["POST"],
        response_model=Prediction,
        openapi_extra={"parameters": _parameters, **accepts(_customer)},
        responses=_responses,
    ),
    DirectRoute(
        PREDICT_BATCH,
        predict_batch,
        methods=["POST"],
        response_model=BatchAnswer | ColumnarAnswer,
        openapi_extra={"parameters": _parameters, **accepts({"oneOf": _bodies})},
        responses=_responses,
    ),
)
"""The routes, to be the application's first."""
