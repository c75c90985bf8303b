"""The model service over HTTP: the `Model` port.

urllib3's pool rather than requests: a call costs 0.22 ms of CPU against 0.5 to 0.6, and this is the hot path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import orjson
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.response import BaseHTTPResponse

from gateway.services.errors import ModelMalformed, ModelServiceError, ModelTimeout, ModelUnavailable
from gateway.services.ports import Features
from shared.contract import (
    ACTIVE_MODEL,
    PREDICT,
    PREDICT_BATCH,
    ColumnarAnswer,
    ModelSummary,
    Prediction,
    RowError,
)
from shared.features import DISTANCE_NAMES
from shared.problems import REQUEST_ID_HEADER

MAX_ANSWER = 64 * 1024 * 1024
CONNECT_SECONDS = 0.25
_PIECE = 64 * 1024

Answer = TypeVar("Answer")


class HttpModel:
    """The model service behind a pool of kept-alive connections.

    Parameters
    ----------
    base_url : such as ``http://127.0.0.1:8001``.
    deadline : seconds to wait for answers that carry many customers or the model's description.
    connections : most connections kept open; the number of threads that call at once.
    request_id : returns the id of the request being served, which is passed on.
    """

    def __init__(
        self, base_url: str, deadline: float, connections: int, request_id: Callable[[], str | None] = lambda: None
    ) -> None:
        url = urlsplit(base_url)
        pool = HTTPSConnectionPool if url.scheme == "https" else HTTPConnectionPool
        assert url.hostname is not None  # settings refuse an address without one
        self._pool = pool(url.hostname, url.port, maxsize=connections, block=False)
        self._path = url.path.rstrip("/")
        self._deadline = deadline
        self._request_id = request_id

    def predict(self, features: Features, deadline: float) -> Prediction:
        """Return one customer's prediction; give up after `deadline` seconds."""
        body = {name: features[name] for name in DISTANCE_NAMES}
        return _checked(_prediction, self._call("POST", PREDICT, deadline, body))

    def predict_batch(self, customers: Sequence[Features]) -> list[Prediction | RowError]:
        """Return a prediction or an error for each of at most `shared.contract.MAX_BATCH` customers, in order."""
        body = {"customers": [{name: c[name] for name in DISTANCE_NAMES} for c in customers]}
        answer = self._call("POST", PREDICT_BATCH, self._deadline, body)
        return _checked(lambda a: _batch(a, len(customers)), answer)

    def score(self, columns: Mapping[str, Sequence[float | int | None]]) -> ColumnarAnswer:
        """Score at most `shared.contract.MAX_COLUMNAR` rows given by column."""
        rows = len(next(iter(columns.values())))
        answer = self._call("POST", PREDICT_BATCH, self._deadline, {"columns": columns})
        return _checked(lambda a: _columnar(a, rows), answer)

    def active(self) -> ModelSummary:
        """Return the active model: its version, segments and profiles."""
        return _checked(_summary, self._call("GET", ACTIVE_MODEL, self._deadline))

    def _call(self, method: str, path: str, deadline: float, body: object = None) -> Any:
        """Send a request and return the parsed answer.

        Scoring changes nothing, so one retry on a connection that the server closed while it was idle is safe.
        """
        give_up_at = time.monotonic() + deadline
        content = None if body is None else orjson.dumps(body)
        try:
            try:
                status, text = self._exchange(method, path, give_up_at, content)
            except ProtocolError:
                status, text = self._exchange(method, path, give_up_at, content)
        except HTTPError as error:
            raise _fault(error) from error
        return _parsed(status, text)

    def _exchange(self, method: str, path: str, give_up_at: float, content: bytes | None) -> tuple[int, bytes]:
        left = max(give_up_at - time.monotonic(), 0.001)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if request_id := self._request_id():
            headers[REQUEST_ID_HEADER] = request_id
        response = self._pool.urlopen(
            method,
            self._path + path,
            body=content,
            headers=headers,
            timeout=Timeout(connect=min(CONNECT_SECONDS, left), read=left),
            retries=Retry(connect=1, read=False, redirect=False, status=False, other=False, backoff_factor=0),
            redirect=False,
            preload_content=False,
        )
        try:
            return response.status, _read(response, give_up_at)
        except BaseException:
            response.close()  # half-read: the connection must not go back to the pool
            raise
        finally:
            response.release_conn()


def _read(response: BaseHTTPResponse, give_up_at: float) -> bytes:
    """Read the body piece by piece: a socket's time-out alone would let a trickle go on for ever."""
    pieces, size = [], 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if time.monotonic() > give_up_at:
            raise ModelTimeout("the model service did not finish its answer in time")
        if size > MAX_ANSWER:
            raise ModelMalformed("the model service's answer is too large")
    return b"".join(pieces)


def _fault(error: HTTPError) -> ModelServiceError:
    cause = error.reason if isinstance(error, MaxRetryError) else error
    if isinstance(cause, ReadTimeoutError):
        return ModelTimeout("the model service did not answer in time")
    if isinstance(cause, ConnectTimeoutError | NewConnectionError | ProtocolError):
        return ModelUnavailable("the model service cannot be reached")
    return ModelMalformed(f"the model service's answer cannot be read ({type(cause).__name__})")


def _parsed(status: int, text: bytes) -> Any:
    if status == 503:
        raise ModelUnavailable("the model service has no model loaded")
    if status != 200:
        raise ModelMalformed(f"the model service answered with status {status}")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ModelMalformed("the model service's answer is not JSON") from error


def _checked(check: Callable[[Any], Answer], answer: Any) -> Answer:
    """Hold an answer to the contract: what the gateway stores or passes on must have the right shape."""
    try:
        return check(answer)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelMalformed(f"the model service's answer breaks the contract: {error!r}") from error


_NUMBER: set[type] = {float, int}
_PREDICTION: dict[str, set[type]] = {
    "cluster": {int},
    "confidence": {float},
    "borderline": {bool},
    "distance": _NUMBER,
    "margin": _NUMBER,
    "model_version": {str},
    "imputed": {list},
    "warnings": {list},
}
_REF: dict[str, set[type]] = {"id": {str}, "name": {str}}
_SEGMENT: dict[str, set[type]] = {**_REF, "size": {int}, "share": _NUMBER, "actions": {list}, "profile": {dict}}
_MODEL: dict[str, set[type]] = {"version": {str}, "segments": {list}}
_PROBLEM: dict[str, set[type]] = {"code": {str}, "detail": {str}}
_FINDING: dict[str, set[type]] = {"pointer": {str}, "code": {str}, "detail": {str}}


def _prediction(answer: Any) -> Prediction:
    _shape(answer, _PREDICTION)
    _shape(answer["segment"], _REF)
    if answer["rival"] is not None:
        _shape(answer["rival"], _REF)
    _must(0 <= answer["confidence"] <= 1, "confidence")
    _must(min(answer["cluster"], answer["distance"], answer["margin"]) >= 0, "a negative number")
    _must(all(type(name) is str for name in answer["imputed"]), "imputed")
    for finding in answer["warnings"]:
        _shape(finding, _FINDING)
    return cast(Prediction, answer)


def _batch(answer: Any, rows: int) -> list[Prediction | RowError]:
    predictions = answer["predictions"]
    _must(isinstance(predictions, list) and len(predictions) == rows, "number of predictions")
    return [_row_error(p) if "error" in p else _prediction(p) for p in predictions]


def _row_error(answer: Any) -> RowError:
    _shape(answer["error"], _PROBLEM)
    return cast(RowError, answer)


def _columnar(answer: Any, rows: int) -> ColumnarAnswer:
    segments = len(answer["segments"])
    _must(all(isinstance(segment["id"], str) for segment in answer["segments"]), "segments")
    _must(isinstance(answer["model_version"], str), "model_version")
    for name, low in (("cluster", 0), ("rival", -1)):
        places = answer[name]
        _must(len(places) == rows and set(map(type, places)) <= {int}, name)
        _must(not places or low <= min(places) <= max(places) < segments, name)
    sure = answer["confidence"]
    _must(len(sure) == rows and set(map(type, sure)) <= _NUMBER, "confidence")
    _must(not sure or 0 <= min(sure) <= max(sure) <= 1, "confidence")
    return cast(ColumnarAnswer, answer)


def _summary(answer: Any) -> ModelSummary:
    _shape(answer, _MODEL)
    for segment in answer["segments"]:
        _shape(segment, _SEGMENT)
    return cast(ModelSummary, answer)


def _shape(value: Any, kinds: Mapping[str, set[type]]) -> None:
    """Raise unless the object has each member with one of the exact types (a boolean is no number)."""
    for name, allowed in kinds.items():
        _must(type(value[name]) in allowed, name)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
