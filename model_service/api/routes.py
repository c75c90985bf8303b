"""The table of routes: each endpoint reads, asks the model, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from model_service.active_model import ActiveModel
from model_service.api import documentation
from model_service.api.customers import one_row, rows_of_columns, rows_of_records
from model_service.api.errors import ApiError, model_not_loaded, validation_failed
from model_service.api.json_body import parse, read_body
from model_service.log_format import current_request_id
from model_service.predictor import Predictor
from shared.contract import ACTIVE_MODEL, PREDICT, PREDICT_BATCH, READY, BatchAnswer, Prediction, RowError
from shared.problems import FieldError, problem

THREAD_BYTES = 512 * 1024
"""Bodies from this size on are handled in a thread, so that other requests need not wait for them."""


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and gives the answer itself.

    FastAPI's own handler resolves parameters and builds answers, neither of which is left to do here; leaving it out
    halves the cost of a prediction.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint as it is."""
        return self.endpoint


def add_routes(app: FastAPI, model: ActiveModel, max_body_bytes: int) -> None:
    """Give `app` the service's routes, answered by `model`."""
    endpoints = _Endpoints(model, max_body_bytes)
    app.router.route_class = DirectRoute
    for method, path, endpoint, described in (
        ("POST", PREDICT, endpoints.predict, documentation.PREDICT),
        ("POST", PREDICT_BATCH, endpoints.predict_batch, documentation.PREDICT_BATCH),
        ("GET", ACTIVE_MODEL, endpoints.active_model, documentation.ACTIVE_MODEL),
        ("GET", "/health/live", endpoints.live, documentation.LIVE),
        ("GET", READY, endpoints.ready, documentation.READY),
    ):
        app.add_api_route(path, endpoint, methods=[method], **described)


class _Endpoints:
    def __init__(self, model: ActiveModel, max_body_bytes: int) -> None:
        self._model = model
        self._max_body_bytes = max_body_bytes

    async def predict(self, request: Request) -> Response:
        predictor = self._predictor()
        body = await read_body(request, self._max_body_bytes)
        return _json(predictor.predict_one(one_row(parse(body))))

    async def predict_batch(self, request: Request) -> Response:
        predictor = self._predictor()
        body = await read_body(request, self._max_body_bytes)
        if len(body) < THREAD_BYTES:
            return _batch(predictor, body)
        return await asyncio.to_thread(_batch, predictor, body)

    async def active_model(self, _request: Request) -> Response:
        return _json(self._predictor().summary())

    async def live(self, _request: Request) -> Response:
        return _json({"status": "live"})

    async def ready(self, _request: Request) -> Response:
        self._predictor()
        status = self._model.status
        return _json({"status": "ready", "model_version": status.version, "fallback": status.fallback})

    def _predictor(self) -> Predictor:
        if self._model.predictor is None:
            raise model_not_loaded()
        return self._model.predictor


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _batch(predictor: Predictor, body: bytes) -> Response:
    value = parse(body)
    if isinstance(value, dict) and len(value) == 1:
        if "columns" in value:
            return _json(predictor.score_columns(rows_of_columns(value["columns"])))
        if "customers" in value:
            return _json(_records(predictor, value["customers"]))
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
