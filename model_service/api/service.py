"""Whether the service lives and is ready. Short, because that is all there is to ask of the service itself."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from model_service.api.dependencies import Model
from model_service.api.openapi import NO_MODEL, problems
from shared.contract import READY

router = APIRouter()


@router.get("/health/live", response_model=dict[str, str])
async def live() -> Any:
    """Whether the process runs."""
    return {"status": "live"}


@router.get(READY, response_model=dict[str, str | None], responses=problems(**NO_MODEL))
async def ready(model: Model) -> Any:
    """Whether a model is loaded, which one, and what is wrong in the model store."""
    model.serving()
    status = model.status
    return {
        "status": "ready",
        "model_version": status.version,
        "fallback": status.fallback,
        "labels": status.labels,
    }
