"""The model service over HTTP: the `Model` port.

urllib3's pool rather than requests: a call costs 0.22 ms of CPU against 0.5 to 0.6, and this is the hot path.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from gateway.data_access.model_service import answers as model_answers
from gateway.data_access.model_service.access import OPEN_ACCESS, ModelAccess
from gateway.data_access.model_service.connections import BudgetSocket
from gateway.data_access.model_service.problems import fault_of
from gateway.services.customers.customer import Features
from gateway.services.errors import ModelMalformed, ModelRefused, ModelServiceError, ModelTimeout, ModelUnavailable
from gateway.services.models.model import DEFAULT_OPTIONS, ModelStatus, PredictionOptions
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
from shared.problems import REQUEST_ID_HEADER

log = logging.getLogger(__name__)

MAX_ANSWER = 64 * 1024 * 1024
CONNECT_SECONDS = 0.25
QUICK_SECONDS = 1.0
"""For the active version: health checks, which ask for it, must answer while the model service hangs."""
_PIECE = 64 * 1024


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return BudgetSocket.around(super()._new_conn())


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class HttpModel:
    """The model service behind a pool of kept-alive connections.

    Parameters
    ----------
    base_url : such as ``http://127.0.0.1:8001``.
    deadline : seconds to wait for answers that carry many customers or the model's description.
    connections : most connections kept open; the number of threads that call at once.
    request_id : returns the id of the request being served, which is passed on.
    access : what makes the model service answer.
    """

    def __init__(
        self,
        base_url: str,
        deadline: float,
        connections: int,
        request_id: Callable[[], str | None] = lambda: None,
        access: ModelAccess = OPEN_ACCESS,
    ) -> None:
        url = urlsplit(base_url)
        assert url.hostname is not None  # settings refuse an address without one
        self._pool = (
            HTTPSConnectionPool(url.hostname, url.port, maxsize=connections, block=False, ssl_context=access.tls)
            if url.scheme == "https"
            else _Pool(url.hostname, url.port, maxsize=connections, block=False)
        )
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **access.headers}
        self._path = url.path.rstrip("/")
        self._deadline = deadline
        self._request_id = request_id

    def predict(self, features: Features, deadline: float, options: PredictionOptions = DEFAULT_OPTIONS) -> Prediction:
        """Return one customer's prediction; give up after `deadline` seconds."""
        body = {name: features[name] for name in INPUT_NAMES}
        answer = self._call("POST", _address(PREDICT, options), deadline, body)
        return model_answers.checked(lambda a: model_answers.prediction(a, options.explain), answer)

    def predict_batch(
        self, customers: Sequence[Features], options: PredictionOptions = DEFAULT_OPTIONS
    ) -> list[Prediction | RowError]:
        """Return a prediction or an error for each of at most `shared.contract.MAX_BATCH` customers, in order."""
        body = {"customers": [{name: c[name] for name in INPUT_NAMES} for c in customers]}
        answer = self._call("POST", _address(PREDICT_BATCH, options), self._deadline, body)
        return model_answers.checked(lambda a: model_answers.batch(a, len(customers), options.explain), answer)

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
        request_id = self._request_id()
        response = self._pool.urlopen(
            method,
            self._path + path,
            body=content,
            headers={**self._headers, REQUEST_ID_HEADER: request_id} if request_id else self._headers,
            timeout=Timeout(connect=min(CONNECT_SECONDS, left), read=left),
            retries=Retry(connect=1, read=False, redirect=False, status=False, other=False, backoff_factor=0),
            redirect=False,
            preload_content=False,
        )
        try:
            return response.status, _read(response)
        except BaseException:
            response.close()  # half-read: the connection must not go back to the pool
            raise
        finally:
            response.release_conn()


def _address(path: str, options: PredictionOptions) -> str:
    if options == DEFAULT_OPTIONS:
        return path
    query = {"explain": "true"} if options.explain else {}
    return f"{path}?{urlencode(query | ({'version': options.version} if options.version else {}))}"


def _read(response: BaseHTTPResponse) -> bytes:
    """Read the body piece by piece, so that one without end is noticed."""
    pieces, size = [], 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER:
            raise ModelMalformed("the model service's answer is too large")
    return b"".join(pieces)


def _fault(error: HTTPError) -> ModelServiceError:
    cause = error.reason if isinstance(error, MaxRetryError) else error
    if isinstance(cause, ReadTimeoutError):
        return ModelTimeout("the model service did not answer in time")
    if isinstance(cause, SSLError):
        log.error("no TLS connection to the model service: %s", cause)
        return ModelUnavailable("the model service cannot be reached")
    if isinstance(cause, ConnectTimeoutError | NewConnectionError | ProtocolError):
        return ModelUnavailable("the model service cannot be reached")
    return ModelMalformed(f"the model service's answer cannot be read ({type(cause).__name__})")


def _parsed(status: int, text: bytes) -> Any:
    if status == 422:  # the gateway let the data pass: not the caller's fault
        raise ModelRefused("the model service refuses a customer's data")
    if status != 200:
        raise fault_of(status, text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ModelMalformed("the model service's answer is not JSON") from error
