"""The model service over HTTP: the `Model` port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from gateway.data_access.model_service import answers as model_answers
from gateway.data_access.model_service.client import ModelServiceClient
from gateway.data_access.model_service.problems import fault_of
from gateway.services.customers.customer import Features
from gateway.services.errors import ModelMalformed, ModelRefused
from gateway.services.models.model import PLAIN, Asked, ModelStatus
from shared.contract import (
    ACTIVE_MODEL,
    PREDICT,
    PREDICT_BATCH,
    READY,
    ColumnarAnswer,
    ModelSummary,
    Prediction,
    RowError,
)
from shared.features import INPUT_NAMES

QUICK_SECONDS = 1.0
"""For the active version: health checks, which ask for it, must answer while the model service hangs."""


class HttpModel:
    """The `Model` port.

    Parameters
    ----------
    deadline : seconds to wait for answers that carry many customers or the model's description.
    """

    def __init__(self, client: ModelServiceClient, deadline: float) -> None:
        self._client = client
        self._deadline = deadline

    def predict(self, features: Features, deadline: float, asked: Asked = PLAIN) -> Prediction:
        """Return one customer's prediction; give up after `deadline` seconds."""
        body = {name: features[name] for name in INPUT_NAMES}
        answer = self._call("POST", _address(PREDICT, asked), deadline, body)
        return model_answers.checked(lambda a: model_answers.prediction(a, asked.explain), answer)

    def predict_batch(self, customers: Sequence[Features], asked: Asked = PLAIN) -> list[Prediction | RowError]:
        """Return a prediction or an error for each of at most `shared.contract.MAX_BATCH` customers, in order."""
        body = {"customers": [{name: c[name] for name in INPUT_NAMES} for c in customers]}
        answer = self._call("POST", _address(PREDICT_BATCH, asked), self._deadline, body)
        return model_answers.checked(lambda a: model_answers.batch(a, len(customers), asked.explain), answer)

    def score(
        self, columns: Mapping[str, Sequence[float | int | None]], deadline: float | None = None
    ) -> ColumnarAnswer:
        """Score at most `shared.contract.MAX_COLUMNAR` rows given by column; give up after `deadline` s, if given."""
        rows, seconds = len(next(iter(columns.values()))), self._deadline if deadline is None else deadline
        answer = self._call("POST", PREDICT_BATCH, seconds, {"columns": columns})
        return model_answers.checked(lambda a: model_answers.columnar(a, rows), answer)

    def version(self) -> str:
        """Return the active model's version; cheap enough to ask every second."""
        return self.status().version

    def status(self) -> ModelStatus:
        """Return the active model's version and what is damaged; as cheap as `version`."""
        return model_answers.checked(model_answers.status, self._call("GET", READY, QUICK_SECONDS))

    def active(self, deadline: float | None = None) -> ModelSummary:
        """Return the active model: its version, segments and profiles; give up after `deadline` seconds, if given."""
        answer = self._call("GET", ACTIVE_MODEL, self._deadline if deadline is None else deadline)
        return model_answers.checked(model_answers.summary, answer)

    def _call(self, method: str, path: str, deadline: float, body: object = None) -> Any:
        content = None if body is None else orjson.dumps(body)
        reply = self._client.query(method, path, deadline, content)
        return _parsed(reply.status, reply.body)


def _address(path: str, asked: Asked) -> str:
    if asked == PLAIN:
        return path
    query = {"explain": "true"} if asked.explain else {}
    return f"{path}?{urlencode(query | ({'version': asked.version} if asked.version else {}))}"


def _parsed(status: int, text: bytes) -> Any:
    if status == 422:  # the gateway let the data pass: not the caller's fault
        raise ModelRefused("the model service refuses a customer's data")
    if status != 200:
        raise fault_of(status, text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ModelMalformed("the model service's answer is not JSON") from error
