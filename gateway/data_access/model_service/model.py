"""The model service over HTTP: the `Model` port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import orjson

from gateway.data_access.model_service import answers
from gateway.data_access.model_service.answers import fault_of
from gateway.data_access.model_service.client import ModelServiceClient, Reply
from gateway.services.customers.customer import Features, inputs_of
from gateway.services.models.model import DEFAULT_OPTIONS, ModelStatus, Move, PredictionOptions
from shared.contract import (
    ACTIVE_MODEL,
    EXPLAIN_MOVE,
    PREDICT,
    PREDICT_BATCH,
    READY,
    ColumnarAnswer,
    ModelSummary,
    MoveExplanation,
    Prediction,
    RowError,
)

QUICK_SECONDS = 1.0
"""For the active version: health checks, which ask for it, must answer while the model service hangs."""


class HttpModel:
    """The `Model` port.

    Parameters
    ----------
    deadline : seconds to wait for answers that carry many customers by column, or the model's description.
    """

    def __init__(self, client: ModelServiceClient, deadline: float) -> None:
        self._client = client
        self._deadline = deadline

    def predict(self, features: Features, deadline: float, options: PredictionOptions = DEFAULT_OPTIONS) -> Prediction:
        body = inputs_of(features)
        return answers.prediction(self._post(_address(PREDICT, options), deadline, body), options.explain)

    def predict_batch(
        self, customers: Sequence[Features], deadline: float, options: PredictionOptions = DEFAULT_OPTIONS
    ) -> list[Prediction | RowError]:
        body = {"customers": [inputs_of(c) for c in customers]}
        text = self._post(_address(PREDICT_BATCH, options), deadline, body)
        return answers.batch(text, len(customers), options.explain)

    def score(
        self, columns: Mapping[str, Sequence[float | int | None]], deadline: float | None = None
    ) -> ColumnarAnswer:
        rows, seconds = len(next(iter(columns.values()))), self._deadline if deadline is None else deadline
        return answers.columnar(self._post(PREDICT_BATCH, seconds, {"columns": columns}), rows)

    def version(self) -> str:
        return self.status().version

    def status(self) -> ModelStatus:
        return answers.status(_content(self._client.query("GET", READY, QUICK_SECONDS)))

    def active(self, deadline: float | None = None) -> ModelSummary:
        reply = self._client.query("GET", ACTIVE_MODEL, self._deadline if deadline is None else deadline)
        return answers.decoded(ModelSummary, _content(reply))

    def explain_move(self, move: Move, deadline: float) -> MoveExplanation:
        body = {"version": move.version, "from": move.origin, "to": move.destination, "changes": move.changes}
        return answers.move(self._post(EXPLAIN_MOVE, deadline, body), move.changes)

    def _post(self, path: str, deadline: float, body: object) -> bytes:
        return _content(self._client.query("POST", path, deadline, orjson.dumps(body)))


def _address(path: str, options: PredictionOptions) -> str:
    if options == DEFAULT_OPTIONS:
        return path
    query = {"explain": "true"} if options.explain else {}
    return f"{path}?{urlencode(query | ({'version': options.version} if options.version else {}))}"


def _content(reply: Reply) -> bytes:
    if reply.status == 422:  # the gateway let the data pass: not the caller's fault
        raise answers.refusal(reply.body)
    if reply.status != 200:
        raise fault_of(reply.status, reply.body)
    return reply.body
