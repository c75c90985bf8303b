"""Predictions: one customer, or many as records or columns; by the active model or the version named in the query."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api import documentation
from model_service.api.customers import one_row, rows_of_columns, rows_of_records
from model_service.api.errors import ApiError, validation_failed
from model_service.api.json_body import parse, read_body
from model_service.api.routes import Route, json_answer
from model_service.log_format import current_request_id
from model_service.predictor import Predictor
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
        predictor = self._model.serving()
        body = await read_body(request, self._max_body_bytes)
        return json_answer(predictor.predict_one(one_row(parse(body))))

    async def predict_batch(self, request: Request) -> Response:
        predictor = self._model.serving()
        body = await read_body(request, self._max_body_bytes)
        if len(body) < THREAD_BYTES:
            return _batch(predictor, body)
        return await asyncio.to_thread(_batch, predictor, body)


def _batch(predictor: Predictor, body: bytes) -> Response:
    value = parse(body)
    if isinstance(value, dict) and len(value) == 1:
        if "columns" in value:
            return json_answer(predictor.score_columns(rows_of_columns(value["columns"])))
        if "customers" in value:
            return json_answer(_records(predictor, value["customers"]))
    detail = 'must be an object with either "customers" or "columns"'
    raise validation_failed([FieldError(pointer="", detail=detail)])


def _records(predictor: Predictor, customers: Any) -> BatchAnswer:
    rows = rows_of_records(customers)
    predictions = predictor.predict_batch(rows.matrix)
    if not rows.errors:
        return BatchAnswer(predictions=list(predictions))
    answers: dict[int, Prediction | RowError] = dict(zip(rows.positions, predictions, strict=True))
    for position, errors in rows.errors.items():
        answers[position] = RowError(error=_row_problem(validation_failed(errors)))
    return BatchAnswer(predictions=[answers[i] for i in range(len(answers))])


def _row_problem(error: ApiError) -> Any:
    return problem(error.status, error.code, error.detail, current_request_id.get(), error.errors)
