"""Whether the service lives and is ready."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from typing_extensions import TypedDict

from model_service.api.dependencies import Model
from model_service.api.middleware import METRICS
from model_service.api.openapi import NO_MODEL, problems
from shared.contract import READY
from shared.metrics.text import CONTENT_TYPE, metrics_text

router = APIRouter()


class Readiness(TypedDict):
    """What serves now.

    ``required`` are the inputs that a customer must have to be scored by this version, ``removed`` those of its
    features that the data dictionary does not have any more: they are taken as missing for everybody.
    """

    status: str
    model_version: str
    fallback: str | None
    labels: str | None
    required: list[str]
    removed: list[str]


@router.get("/health/live", response_model=dict[str, str])
async def live() -> Any:
    """Whether the process runs."""
    return {"status": "live"}


@router.get(METRICS, response_class=PlainTextResponse)
def metrics(request: Request) -> Any:
    """Metrics for Prometheus, of all processes; requests straight from one of METRICS_NETWORKS need no secret."""
    return Response(metrics_text([request.app.state.metrics]), headers={"content-type": CONTENT_TYPE})


@router.get(READY, response_model=Readiness, responses=problems(**NO_MODEL))
async def ready(model: Model) -> Any:
    """Whether a model is loaded, which one, what it needs of a customer, and what is wrong in the model store."""
    predictor, status = model.serving(), model.status
    return Readiness(
        status="ready",
        model_version=predictor.version,
        fallback=status.fallback,
        labels=status.labels,
        required=predictor.required,
        removed=list(predictor.removed),
    )
