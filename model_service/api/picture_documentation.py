"""What the OpenAPI text says about reports and pictures."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response

from model_service.api.documentation import BAD_BODY, accepts, problems
from model_service.api.schemas import answer_model
from shared.model_contract import ACTIVE, Drift, Plot, Preview

MAX_BYTES = 1024 * 1024
"""Largest description of a picture."""

_plot = answer_model(Plot)
_PICTURE: dict[str, Any] = {"image/svg+xml": {}, "image/png": {}}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": f"A stored version, or {ACTIVE}",
    "schema": {"type": "string"},
}
_REFUSALS = {
    "s404": "No version with this name is stored, or it was stored without report and pictures",
    "s409": "The files of the version are damaged",
    "s503": "No model is loaded",
}


def _file(description: str) -> dict[str, Any]:
    return {"name": "file", "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def _shown(content: dict[str, Any]) -> dict[str, Any]:
    return {"description": "It loads nothing from elsewhere", "content": content}


_UNCHANGED = {"description": "The client has it already (If-None-Match)"}

REPORT: dict[str, Any] = {
    "summary": "Show a version's report: one HTML page that holds all it shows and can be filed or printed",
    "openapi_extra": {"parameters": [_VERSION]},
    "response_class": Response,
    "responses": problems(**_REFUSALS) | {200: _shown({"text/html": {}}), 304: _UNCHANGED},
}
LIST: dict[str, Any] = {
    "summary": "List a version's pictures",
    "openapi_extra": {"parameters": [_VERSION]},
    "response_model": dict[str, list[_plot]],  # type: ignore[valid-type]  # a model made at run time
    "responses": problems(**_REFUSALS),
}
PLOT: dict[str, Any] = {
    "summary": "Show a picture of a version",
    "openapi_extra": {"parameters": [_VERSION, _file("A picture's name with .svg or .png, such as elbow.svg")]},
    "response_class": Response,
    "responses": problems(**_REFUSALS) | {200: _shown(_PICTURE), 304: _UNCHANGED},
}
DRAW: dict[str, Any] = {
    "summary": "Draw the answer of a drift or a preview",
    "openapi_extra": {"parameters": [_file("drift or transitions (which takes a preview), with .svg or .png")]}
    | accepts({"oneOf": [answer_model(shape).model_json_schema() for shape in (Drift, Preview)]}),
    "response_class": Response,
    "responses": problems(
        **BAD_BODY,
        s404="Nothing else is drawn",
        s500="The drawing failed or took too long",
        s503="Enough pictures are being drawn",
    )
    | {200: _shown(_PICTURE)},
}
