"""Whether the service lives and is ready."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api import documentation
from model_service.api.routes import Route, json_answer
from shared.contract import READY


def routes(model: ActiveModel) -> tuple[Route, ...]:
    """Return the table of health checks."""

    async def live(_request: Request) -> Response:
        return json_answer({"status": "live"})

    async def ready(_request: Request) -> Response:
        model.serving()
        status = model.status
        return json_answer(
            {
                "status": "ready",
                "model_version": status.version,
                "fallback": status.fallback,
                "labels": status.labels,
            }
        )

    return (
        Route("GET", "/health/live", live, documentation.LIVE),
        Route("GET", READY, ready, documentation.READY),
    )
