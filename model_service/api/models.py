"""The registry: versions, activations and the segments' labels."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api import documentation
from model_service.api.routes import Route, json_answer
from shared.contract import ACTIVE_MODEL


def routes(model: ActiveModel) -> tuple[Route, ...]:
    """Return the table of the registry."""

    async def active(_request: Request) -> Response:
        return json_answer(model.serving().summary())

    return (Route("GET", ACTIVE_MODEL, active, documentation.ACTIVE_MODEL),)
