"""What the OpenAPI text says about versions, activations and labels."""

from __future__ import annotations

from typing import Any

from model_service.api.decisions import Activate, Rollback
from model_service.api.documentation import BAD_BODY, NO_MODEL, STORED_VERSION, accepts, links, problems
from model_service.api.schemas import answer_model
from model_service.store.description import Catalogue
from model_service.store.labels import LabelPatch
from shared.model_contract import Activation, Gate, Label
from shared.model_description import ModelDescription

_description = answer_model(ModelDescription)
_activation = answer_model(Activation)
_label = answer_model(Label)
_NO_VERSION = {"s404": "No version with this name is stored"}
_NO_SEGMENT = {"s404": "No stored version has a segment with this id"}
_NOT_WRITABLE = {"s507": "The model store cannot be written: its disk is full or read-only"}
_DAMAGED_LABELS = {"s409": "What people said of the segments cannot be read"}


_id: dict[str, Any] = {
    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "examples": ["seg-01"]}}]
}
_of_versions = (
    "describe_version",
    "judge_version",
    "activate_version",
    "show_report",
    "list_plots",
)


LIST: dict[str, Any] = {
    "summary": "List all versions, newest first, and say which is active and which serves",
    "response_model": answer_model(Catalogue),
    "responses": {200: {"links": links("/items/0/version", "version", *_of_versions)}},
}
ACTIVE_MODEL: dict[str, Any] = {
    "summary": "Describe the model that serves: its segments, profiles and actions, and the evidence for them",
    "response_model": _description,
    "responses": problems(**NO_MODEL),
}
GET: dict[str, Any] = {
    "operation_id": "describe_version",
    "summary": "Describe a version",
    "openapi_extra": {"parameters": [STORED_VERSION]},
    "response_model": _description,
    "responses": problems(**_NO_VERSION, s409="The version is damaged"),
}
GATE: dict[str, Any] = {
    "operation_id": "judge_version",
    "summary": "Say whether a version may replace the active one now",
    "openapi_extra": {"parameters": [STORED_VERSION]},
    "response_model": answer_model(Gate),
    "responses": problems(**_NO_VERSION, **NO_MODEL, s409="The record of activations is damaged"),
}
ACTIVATE: dict[str, Any] = {
    "operation_id": "activate_version",
    "summary": "Make a version the active one",
    "openapi_extra": {"parameters": [STORED_VERSION]} | accepts(Activate.model_json_schema(), required=False),
    "response_model": _activation,
    "responses": problems(
        **BAD_BODY,
        **_NO_VERSION,
        **_NOT_WRITABLE,
        s409="The gate refuses it, each failed check an error; or it is damaged, or incompatible with this program",
    ),
}
ROLLBACK: dict[str, Any] = {
    "summary": "Make the version active again that was so before; a second time, the one before that",
    "openapi_extra": accepts(Rollback.model_json_schema(), required=False),
    "response_model": _activation,
    "responses": problems(
        **BAD_BODY, **_NOT_WRITABLE, s409="No version was active before this one, or that one cannot serve any more"
    ),
}
ACTIVATIONS: dict[str, Any] = {
    "summary": "List all activations and rollbacks, newest first, with who and why",
    "response_model": dict[str, list[_activation]],  # type: ignore[valid-type]  # a model made at run time
    "responses": problems(s409="The record of activations is damaged"),
}
LABELS: dict[str, Any] = {
    "summary": "List what people said of the segments, by segment id",
    "response_model": dict[str, dict[str, _label]],  # type: ignore[valid-type]  # a model made at run time
    "responses": problems(**_DAMAGED_LABELS),
}
LABEL: dict[str, Any] = {
    "summary": "Read what people said of a segment",
    "openapi_extra": _id,
    "response_model": _label,
    "responses": problems(**_NO_SEGMENT, **_DAMAGED_LABELS),
}
RELABEL: dict[str, Any] = {
    "summary": "Name a segment, describe it or say who owns it, for all versions; null clears",
    "openapi_extra": _id | accepts(LabelPatch.model_json_schema()),
    "response_model": _label,
    "responses": problems(
        **BAD_BODY,
        **_NO_SEGMENT,
        **_NOT_WRITABLE,
        s409="Another segment is called so, or what people said of the segments cannot be read",
    ),
}
