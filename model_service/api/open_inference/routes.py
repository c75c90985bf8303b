"""The Open Inference Protocol v2, so that clients of KServe, MLServer and Triton can ask this model.

The protocol: https://github.com/kserve/open-inference-protocol. Its errors have an ``error`` member; here they are
problems (RFC 9457) that have one besides.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api.bodies import JSON, read_body
from model_service.api.errors import STATUSES, ApiError
from model_service.api.hot.predictions import THREAD_BYTES
from model_service.api.open_inference import documentation
from model_service.api.open_inference.documentation import MODEL
from model_service.api.open_inference.inputs import JSON_LENGTH, read_request, rows_of_tensors
from model_service.api.open_inference.outputs import OUTPUTS, tensors, wanted
from model_service.api.routes import Endpoint, Route, json_answer
from model_service.log_format import current_request_id
from model_service.scoring.predictor import Predictor
from model_service.store.errors import RegistryError, VersionNotFound
from model_service.store.registry import ModelStore
from shared.features import INPUTS
from shared.model_contract import ACTIVE
from shared.problems import MEDIA_TYPE, FieldError, problem

_ERRORS_IN_TEXT = 3
"""Refused values named in ``error``; all of them are in ``errors``."""

_BODIES = (JSON, "application/octet-stream", "")
"""Media types of requests; Triton's client declares none."""

_MODEL = "/v2/models/{name}"
_VERSION = _MODEL + "/versions/{version}"


def routes(model: ActiveModel, store: ModelStore, max_body_bytes: int) -> tuple[Route, ...]:
    """Return the table of the protocol."""
    endpoints = _Endpoints(model, store, max_body_bytes)
    table = (
        Route("GET", "/v2", endpoints.server, documentation.SERVER),
        Route("GET", "/v2/health/live", endpoints.live, documentation.LIVE),
        Route("GET", "/v2/health/ready", endpoints.ready, documentation.READY),
        Route("GET", _MODEL, endpoints.metadata, documentation.METADATA),
        Route("GET", _VERSION, endpoints.metadata, documentation.METADATA_OF_VERSION),
        Route("GET", _MODEL + "/ready", endpoints.model_ready, documentation.MODEL_READY),
        Route("GET", _VERSION + "/ready", endpoints.model_ready, documentation.MODEL_READY_OF_VERSION),
        Route("POST", _MODEL + "/infer", endpoints.infer, documentation.INFER),
        Route("POST", _VERSION + "/infer", endpoints.infer, documentation.INFER_OF_VERSION),
    )
    return tuple(route._replace(endpoint=_with_error_member(route.endpoint)) for route in table)


class _Endpoints:
    def __init__(self, model: ActiveModel, store: ModelStore, max_body_bytes: int) -> None:
        self._model = model
        self._store = store
        self._max_body_bytes = max_body_bytes

    async def server(self, request: Request) -> Response:
        return json_answer({"name": MODEL, "version": request.app.version, "extensions": ["binary_tensor_data"]})

    async def live(self, _request: Request) -> Response:
        return json_answer({"live": True})

    async def ready(self, _request: Request) -> Response:
        self._model.serving()
        return json_answer({"ready": True})

    async def metadata(self, request: Request) -> Response:
        version = _version(request)
        versions = await asyncio.to_thread(self._store.versions)
        if version == ACTIVE:
            self._model.serving()
        elif version is not None and version not in versions:
            raise VersionNotFound(f"no model version {version!r}")
        return json_answer(
            {
                "name": MODEL,
                "versions": versions,
                "platform": "sklearn_joblib",
                "inputs": [_metadata(f.name, "INT64" if f.whole else "FP64") for f in INPUTS],
                "outputs": [_metadata(output.name, output.datatype) for output in OUTPUTS],
            }
        )

    async def model_ready(self, request: Request) -> Response:
        await self._model.of(_version(request))
        return json_answer({"name": MODEL, "ready": True})

    async def infer(self, request: Request) -> Response:
        predictor = await self._model.of(_version(request))
        if request.headers.get("content-encoding", "identity") != "identity":
            raise ApiError(415, "unsupported_media_type", "The body must not be compressed.")
        body = await read_body(request, self._max_body_bytes, _BODIES)
        json_length = request.headers.get(JSON_LENGTH)
        if len(body) < THREAD_BYTES:
            return _infer(predictor, body, json_length)
        return await asyncio.to_thread(_infer, predictor, body, json_length)


def _version(request: Request) -> str | None:
    """Return the version that the address names, None when it names none."""
    name = request.path_params["name"]
    if name != MODEL:
        raise ApiError(404, "model_not_found", f"There is no model {name!r} here, only {MODEL!r}.")
    version: str | None = request.path_params.get("version")
    return version


def _metadata(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def _infer(predictor: Predictor, body: bytes, json_length: str | None) -> Response:
    request, binary_inputs = read_request(body, json_length)
    asked = wanted(request)
    scores = predictor.score_columns(rows_of_tensors(request.inputs, binary_inputs))
    outputs, binary = tensors(scores, asked)
    answer: dict[str, Any] = {"model_name": MODEL, "model_version": predictor.version, "outputs": outputs}
    if request.id is not None:
        answer["id"] = request.id
    if not binary:
        return json_answer(answer)
    text = orjson.dumps(answer)
    return Response(text + binary, 200, {JSON_LENGTH: str(len(text))}, "application/octet-stream")


def _with_error_member(endpoint: Endpoint) -> Endpoint:
    """Return `endpoint` with problems that have an ``error`` member."""

    @functools.wraps(endpoint)
    async def answering(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ApiError as error:
            return _problem(error.status, error.code, error.detail, error.errors)
        except RegistryError as error:
            status, code = next(answer for kind, answer in STATUSES.items() if isinstance(error, kind))
            return _problem(status, code, str(error))

    return answering


def _problem(status: int, code: str, detail: str, errors: Sequence[FieldError] | None = None) -> Response:
    found = "; ".join(f"{error['pointer']} {error['detail']}" for error in (errors or ())[:_ERRORS_IN_TEXT])
    body: dict[str, Any] = {**problem(status, code, detail, current_request_id.get(), errors)}
    body["error"] = f"{detail} {found}".rstrip()
    return Response(orjson.dumps(body), status, media_type=MEDIA_TYPE)
