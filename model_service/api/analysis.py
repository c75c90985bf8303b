"""Analyses over many customers: who moves if a version replaces the active one, and how far the base has drifted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.api import analysis_documentation as documentation
from model_service.api.bodies import hear_out, heard_out
from model_service.api.customers import ColumnBlock, block_of, lines
from model_service.api.errors import problem_response
from model_service.api.routes import Route, json_answer
from model_service.store.files import rfc3339
from shared.model_contract import MODELS, Drift, Preview

AT_ONCE = 2
"""Analyses that a process runs at a time; each takes turns with the predictions for a processor."""

RETRY_SECONDS = 10
"""When to ask again if that many are running; a million customers take about so long."""


def routes(model: ActiveModel) -> tuple[Route, ...]:
    """Return the table of analyses."""
    endpoints = _Endpoints(model)
    return (
        Route("POST", MODELS + "/{version}/preview", endpoints.preview, documentation.PREVIEW),
        Route("POST", MODELS + "/{version}/drift", endpoints.drift, documentation.DRIFT),
    )


class _Endpoints:
    def __init__(self, model: ActiveModel) -> None:
        self._model = model
        self._places = asyncio.Semaphore(AT_ONCE)

    async def preview(self, request: Request) -> Response:
        async with heard_out(request):
            active = self._model.serving()
            counter = PreviewCounter(active, await self._model.of(request.path_params["version"]))
            return await self._analyse(request, lambda block: counter.add(block.columns, block.ids), counter.result)

    async def drift(self, request: Request) -> Response:
        async with heard_out(request):
            counter = DriftCounter(await self._model.of(request.path_params["version"]))
            return await self._analyse(request, lambda block: counter.add(block.columns), counter.result)

    async def _analyse(
        self, request: Request, add: Callable[[ColumnBlock], None], result: Callable[[str], Drift | Preview]
    ) -> Response:
        if self._places.locked():
            await hear_out(request)
            detail = f"{AT_ONCE} analyses are running; try again in {RETRY_SECONDS} seconds."
            return problem_response(503, "analysis_busy", detail, headers={"retry-after": str(RETRY_SECONDS)})
        async with self._places:
            async for number, line in lines(request):
                # In a thread, so that predictions go on in between.
                await asyncio.to_thread(_take, add, number, line)
            return json_answer(result(rfc3339(datetime.now(UTC))))


def _take(add: Callable[[ColumnBlock], None], number: int, line: bytes) -> None:
    add(block_of(number, line))
