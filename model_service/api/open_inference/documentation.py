"""What the OpenAPI text says about the Open Inference Protocol v2."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from model_service.api.documentation import BAD_BODY, NO_MODEL, VERSION, accepts, problems
from model_service.api.open_inference.inputs import InferRequest

MODEL = "customer-segmentation"
"""The one model's name in the protocol; its versions are the registry's."""


class _Server(BaseModel):
    name: str
    version: str
    extensions: list[str]


class _Live(BaseModel):
    live: bool


class _Ready(BaseModel):
    ready: bool


class _ModelReady(_Ready):
    name: str


class _TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: list[int]


class _Metadata(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[_TensorMetadata]
    outputs: list[_TensorMetadata]


class _Output(_TensorMetadata):
    parameters: dict[str, Any] = {}
    data: list[Any] = []


class _Answer(BaseModel):
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[_Output]


_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": [MODEL]}}
_NOT_FOUND = {"s404": "No model of this name, or no such version"}
_REFUSED = {"s409": "The version cannot be served"}


def _request() -> dict[str, Any]:
    """Return the schema of a request with its parts in place, as OpenAPI has no ``$defs``."""
    schema = InferRequest.model_json_schema()
    parts = schema.pop("$defs")
    for tensors in ("inputs", "outputs"):
        items = schema["properties"][tensors]["items"]
        schema["properties"][tensors]["items"] = parts[items["$ref"].rpartition("/")[2]]
    return schema


def _of_version(described: dict[str, Any]) -> dict[str, Any]:
    """Describe the same route with a version in its address."""
    return described | {
        "summary": f"{described['summary']}, of one version",
        "openapi_extra": described["openapi_extra"] | {"parameters": [_NAME, VERSION]},
    }


SERVER: dict[str, Any] = {"summary": "Open Inference Protocol: about the server", "response_model": _Server}
LIVE: dict[str, Any] = {"summary": "Open Inference Protocol: whether the process runs", "response_model": _Live}
READY: dict[str, Any] = {
    "summary": "Open Inference Protocol: whether a model is loaded",
    "response_model": _Ready,
    "responses": problems(**NO_MODEL),
}
METADATA: dict[str, Any] = {
    "summary": "Open Inference Protocol: the model's versions, inputs and outputs",
    "response_model": _Metadata,
    "openapi_extra": {"parameters": [_NAME]},
    "responses": problems(**_NOT_FOUND),
}
MODEL_READY: dict[str, Any] = {
    "summary": "Open Inference Protocol: whether the model can be asked",
    "response_model": _ModelReady,
    "openapi_extra": {"parameters": [_NAME]},
    "responses": problems(**_NOT_FOUND, **_REFUSED, **NO_MODEL),
}
INFER: dict[str, Any] = {
    "summary": "Open Inference Protocol: predict the segments of many customers",
    "description": (
        "Inputs are tensors named after the features, each of shape [n] or [n, 1], or one tensor of shape "
        "[n, number of inputs] with all features in the order of the model's metadata. Data may also be binary."
    ),
    "response_model": _Answer,
    "openapi_extra": {"parameters": [_NAME]} | accepts(_request()),
    "responses": problems(**BAD_BODY, **_NOT_FOUND, **_REFUSED, **NO_MODEL),
}
METADATA_OF_VERSION = _of_version(METADATA)
MODEL_READY_OF_VERSION = _of_version(MODEL_READY)
INFER_OF_VERSION = _of_version(INFER)
