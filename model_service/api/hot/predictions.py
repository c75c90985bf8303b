"""Predictions: one customer, or many as records or columns; by the active model or the version named in the query."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api import documentation
from model_service.api.bodies import parse, read_body
from model_service.api.customers import one_row, rows_of_columns, rows_of_records
from model_service.api.errors import ApiError, validation_failed
from model_service.api.routes import Route, json_answer
from model_service.log_format import current_request_id
from model_service.scoring.predictor import Predictor
from shared.contract import PREDICT, PREDICT_BATCH, BatchAnswer, Prediction, RowError
from shared.problems import FieldError, problem

THREAD_BYTES = 512 * 1024
"""Bodies from this size on are handled in a thread, so that other requests need not wait for them."""


def routes(model: ActiveModel, max_body_bytes: int) -> tuple[Route, ...]:
    """Return the table of predictions."""
    endpoints = _Endpoints(model, max_body_bytes)
    return (
        Route("POST", PREDICT, endpoints.predict, documentation.PREDICT),
        Route("POST", PREDICT_BATCH, endpoints.predict_batch, documentation.PREDICT_BATCH),
    )


class _Endpoints:
    def __init__(self, model: ActiveModel, max_body_bytes: int) -> None:
        self._model = model
        self._max_body_bytes = max_body_bytes

    async def predict(self, request: Request) -> Response:
        wish = _wish(request)
        predictor = await self._model.of(wish.version)
        row = one_row(parse(await read_body(request, self._max_body_bytes)))
        prediction = predictor.predict_one(row)
        if wish.explain:
            predictor.explain([prediction], row[None])
        return json_answer(prediction)

    async def predict_batch(self, request: Request) -> Response:
        wish = _wish(request)
        predictor = await self._model.of(wish.version)
        body = await read_body(request, self._max_body_bytes)
        if len(body) < THREAD_BYTES and not wish.explain:
            return _batch(predictor, body, explain=False)
        return await asyncio.to_thread(_batch, predictor, body, wish.explain)


class _Wish(NamedTuple):
    """What the query asks for."""

    version: str | None = None
    explain: bool = False


_PLAIN = _Wish()
_FLAGS = {"true": True, "false": False}


def _wish(request: Request) -> _Wish:
    """Return what the query asks for; nearly always there is none, and then nothing is parsed."""
    if not request.scope["query_string"]:
        return _PLAIN
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    faults = {name: "is given more than once" for name in names if names.count(name) > 1}
    faults |= {name: "is not a known parameter" for name in names if name not in _Wish._fields}
    query = dict(given)
    if query.get("explain", "true") not in _FLAGS:
        faults["explain"] = "must be true or false"
    if faults:
        raise validation_failed([FieldError(pointer=f"?{name}", detail=faults[name]) for name in sorted(faults)])
    return _Wish(query.get("version"), _FLAGS[query.get("explain", "false")])


def _batch(predictor: Predictor, body: bytes, explain: bool) -> Response:
    value = parse(body)
    if isinstance(value, dict) and len(value) == 1:
        if "columns" in value:
            if explain:
                detail = 'must be false for "columns": only "customers" are explained'
                raise validation_failed([FieldError(pointer="?explain", detail=detail)])
            return json_answer(predictor.score_columns(rows_of_columns(value["columns"])))
        if "customers" in value:
            return json_answer(_records(predictor, value["customers"], explain))
    detail = 'must be an object with either "customers" or "columns"'
    raise validation_failed([FieldError(pointer="", detail=detail)])


def _records(predictor: Predictor, customers: Any, explain: bool) -> BatchAnswer:
    rows = rows_of_records(customers)
    predictions = predictor.predict_batch(rows.matrix)
    if explain:
        predictor.explain(predictions, rows.matrix)
    if not rows.errors:
        return BatchAnswer(predictions=list(predictions))
    answers: dict[int, Prediction | RowError] = dict(zip(rows.positions, predictions, strict=True))
    for position, errors in rows.errors.items():
        answers[position] = RowError(error=_row_problem(validation_failed(errors)))
    return BatchAnswer(predictions=[answers[i] for i in range(len(answers))])


def _row_problem(error: ApiError) -> Any:
    return problem(error.status, error.code, error.detail, current_request_id.get(), error.errors)
