"""What the OpenAPI text says about reports and pictures."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response

from model_service.api.documentation import BAD_BODY, VERSION, accepts, problems, schema_of
from model_service.api.schemas import answer_model
from shared.model_contract import Drift, Plot, Preview

MAX_BYTES = 1024 * 1024
"""Largest description of a picture."""

_plot = answer_model(Plot)
_PICTURE: dict[str, Any] = {"image/svg+xml": {}, "image/png": {}}
_REFUSALS = {
    "s404": "No version with this name is stored, or it was stored without report and pictures",
    "s409": "The files of the version are damaged",
    "s503": "No model is loaded",
}


def _file(description: str, **schema: Any) -> dict[str, Any]:
    named = {"name": "file", "in": "path", "required": True, "description": description}
    return {**named, "schema": {"type": "string", **schema}}


_DRAWN = [f"{subject}.{kind}" for subject in ("drift", "transitions") for kind in ("svg", "png")]


def _shown(content: dict[str, Any]) -> dict[str, Any]:
    return {"description": "It loads nothing from elsewhere", "content": content}


_UNCHANGED = {"description": "The client has it already (If-None-Match)"}

REPORT: dict[str, Any] = {
    "operation_id": "show_report",
    "summary": "Show a version's report: one HTML page that holds all it shows and can be filed or printed",
    "openapi_extra": {"parameters": [VERSION]},
    "response_class": Response,
    "responses": problems(**_REFUSALS) | {200: _shown({"text/html": {}}), 304: _UNCHANGED},
}
LIST: dict[str, Any] = {
    "operation_id": "list_plots",
    "summary": "List a version's pictures",
    "openapi_extra": {"parameters": [VERSION]},
    "response_model": dict[str, list[_plot]],  # type: ignore[valid-type]  # a model made at run time
    "responses": problems(**_REFUSALS),
}
PLOT: dict[str, Any] = {
    "operation_id": "show_plot",
    "summary": "Show a picture of a version",
    "openapi_extra": {"parameters": [VERSION, _file("A picture's name with .svg or .png", examples=["elbow.svg"])]},
    "response_class": Response,
    "responses": problems(**_REFUSALS) | {200: _shown(_PICTURE), 304: _UNCHANGED},
}
DRAW: dict[str, Any] = {
    "summary": "Draw the answer of a drift or a preview",
    "openapi_extra": {
        "parameters": [_file("drift or transitions (which takes a preview), with .svg or .png", enum=_DRAWN)]
    }
    | accepts({"oneOf": [schema_of(shape) for shape in (Drift, Preview)]}),
    "response_class": Response,
    "responses": problems(
        **BAD_BODY,
        s404="Nothing else is drawn",
        s500="The drawing failed or took too long",
        s503="Enough pictures are being drawn",
    )
    | {200: _shown(_PICTURE)},
}
