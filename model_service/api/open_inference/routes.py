"""The Open Inference Protocol v2, so that clients of KServe, MLServer and Triton can use this model.

The protocol: https://github.com/kserve/open-inference-protocol. Its errors have an ``error`` member; here they are
problems (RFC 9457) that have one besides. Inference takes the direct route (`model_service.api.hot.direct_route`).
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel

from model_service.active_model import ActiveModel
from model_service.api.bodies import JSON, read_body
from model_service.api.dependencies import Model, Store
from model_service.api.errors import OPEN_INFERENCE, ApiError
from model_service.api.hot.direct_route import DirectRoute, json_answer
from model_service.api.hot.predictions import THREAD_BYTES
from model_service.api.open_inference.inputs import JSON_LENGTH, InferRequest, read_request, rows_of_tensors
from model_service.api.open_inference.outputs import OUTPUTS, tensors, wanted_outputs
from model_service.api.openapi import BAD_BODY, NO_MODEL, VERSION_PATTERN, Version, accepts, problems, schema_of
from model_service.metrics import rows_scored
from model_service.scoring.predictor import Predictor
from model_service.settings import Settings
from model_service.store.errors import VersionNotFound
from shared.features import INPUTS
from shared.model_contract import ACTIVE

MODEL = "customer-segmentation"
"""The one model's name in the protocol; its versions are the registry's."""

_BODIES = (JSON, "application/octet-stream", "")
"""Media types of requests; Triton's client declares none."""

_MODEL = OPEN_INFERENCE + "/models/{name}"
_VERSION = _MODEL + "/versions/{version}"
_NOT_FOUND = {"s404": "No model of this name, or no such version"}
_REFUSED = {"s409": "The version cannot be served"}

router = APIRouter()


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """Whether the process runs."""

    live: bool


class ServerReady(BaseModel):
    """Whether a model is loaded."""

    ready: bool


class ModelReady(ServerReady):
    """Whether the model can predict."""

    name: str


class TensorMetadata(BaseModel):
    """One tensor that the model takes or gives; -1 in ``shape`` stands for the number of customers."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InferOutput(TensorMetadata):
    """One tensor of an answer; its data follow the JSON text when they are binary."""

    parameters: dict[str, Any] = {}
    data: list[Any] = []


class InferAnswer(BaseModel):
    """What inference answers."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferOutput]


async def _the_model(name: Annotated[str, Path(json_schema_extra={"enum": [MODEL]})]) -> None:
    if name != MODEL:
        raise ApiError(404, "model_not_found", f"There is no model {name!r} here, only {MODEL!r}.")


_named = [Depends(_the_model)]


@router.get(OPEN_INFERENCE, response_model=ServerMetadata)
async def server(request: Request) -> Any:
    """Open Inference Protocol: about the server."""
    return {"name": MODEL, "version": request.app.version, "extensions": ["binary_tensor_data"]}


@router.get(OPEN_INFERENCE + "/health/live", response_model=ServerLive)
async def live() -> Any:
    """Open Inference Protocol: whether the process runs."""
    return {"live": True}


@router.get(OPEN_INFERENCE + "/health/ready", response_model=ServerReady, responses=problems(**NO_MODEL))
async def ready(model: Model) -> Any:
    """Open Inference Protocol: whether a model is loaded."""
    model.serving()
    return {"ready": True}


@router.get(_MODEL, dependencies=_named, response_model=ModelMetadata, responses=problems(**_NOT_FOUND))
def metadata(store: Store) -> Any:
    """Open Inference Protocol: the model's versions, inputs and outputs."""
    return _described(store.versions())


@router.get(_VERSION, dependencies=_named, response_model=ModelMetadata, responses=problems(**_NOT_FOUND))
def metadata_of_version(version: Version, model: Model, store: Store) -> Any:
    """Open Inference Protocol: the model's versions, inputs and outputs, of one version."""
    versions = store.versions()
    if version == ACTIVE:
        model.serving()
    elif version not in versions:
        raise VersionNotFound(f"there is no model version {version!r}")
    return _described(versions)


_model_responses = problems(**_NOT_FOUND, **_REFUSED, **NO_MODEL)


@router.get(_MODEL + "/ready", dependencies=_named, response_model=ModelReady, responses=_model_responses)
async def model_ready(model: Model) -> Any:
    """Open Inference Protocol: whether the model can predict."""
    model.serving()
    return {"name": MODEL, "ready": True}


@router.get(_VERSION + "/ready", dependencies=_named, response_model=ModelReady, responses=_model_responses)
async def version_ready(version: Version, model: Model) -> Any:
    """Open Inference Protocol: whether the model can predict, of one version."""
    await model.of(version)
    return {"name": MODEL, "ready": True}


def _described(versions: list[str]) -> dict[str, Any]:
    return {
        "name": MODEL,
        "versions": versions,
        "platform": "sklearn_joblib",
        "inputs": [_metadata(f.name, "INT64" if f.whole else "FP64") for f in INPUTS],
        "outputs": [_metadata(output.name, output.datatype) for output in OUTPUTS],
    }


async def infer(request: Request) -> Response:
    """Open Inference Protocol: predict the segments of many customers.

    Inputs are tensors named after the features, each of shape [n] or [n, 1], or one tensor of shape
    [n, number of inputs] with all features in the order of the model's metadata. Data may also be binary.
    """
    await _the_model(request.path_params["name"])
    model: ActiveModel = request.app.state.model
    settings: Settings = request.app.state.settings
    predictor = await model.of(request.path_params.get("version"))
    body = await read_body(request, settings.max_body_bytes, _BODIES)
    json_length = request.headers.get(JSON_LENGTH)
    if len(body) < THREAD_BYTES:
        return _infer(predictor, body, json_length)
    return await asyncio.to_thread(_infer, predictor, body, json_length)


def _metadata(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def _infer(predictor: Predictor, body: bytes, json_length: str | None) -> Response:
    request, binary_inputs = read_request(body, json_length)
    wanted = wanted_outputs(request)
    rows = rows_of_tensors(request.inputs, binary_inputs, predictor.dispensable)
    rows_scored(len(rows))
    scores = predictor.score_columns(rows)
    outputs, binary = tensors(scores, wanted)
    answer: dict[str, Any] = {"model_name": MODEL, "model_version": predictor.version, "outputs": outputs}
    if request.id is not None:
        answer["id"] = request.id
    if not binary:
        return json_answer(answer)
    text = orjson.dumps(answer)
    return Response(text + binary, 200, {JSON_LENGTH: str(len(text))}, "application/octet-stream")


async def infer_of_version(request: Request) -> Response:
    """Open Inference Protocol: predict the segments of many customers, of one version."""
    return await infer(request)


_name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": [MODEL]}}
_version_schema = {"type": "string", "pattern": VERSION_PATTERN}
_version = {"name": "version", "in": "path", "required": True, "schema": _version_schema}
_documented: dict[str, Any] = {
    "methods": ["POST"],
    "response_model": InferAnswer,
    "responses": problems(**BAD_BODY, **_NOT_FOUND, **_REFUSED, **NO_MODEL),
}
_body = accepts(schema_of(InferRequest))

ROUTES = (
    DirectRoute(_MODEL + "/infer", infer, openapi_extra={"parameters": [_name], **_body}, **_documented),
    DirectRoute(
        _VERSION + "/infer", infer_of_version, openapi_extra={"parameters": [_name, _version], **_body}, **_documented
    ),
)
"""The direct routes."""
