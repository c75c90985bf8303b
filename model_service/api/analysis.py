"""Analyses over many customers: who moves if a version replaces the active one, and how far the base has drifted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request

from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter
from model_service.api.customers import Accepted, ColumnBlock, CustomerFeatures, accepted, block_of, lines
from model_service.api.dependencies import Model, no_query
from model_service.api.errors import ApiError
from model_service.api.openapi import NO_VERSION, Version, accepts, columns_schema, problems
from model_service.store.files import rfc3339
from shared.contract import MAX_COLUMNAR
from shared.features import CUST_ID, CUST_ID_PATTERN
from shared.model_contract import MODELS, NDJSON, Drift, Preview

router = APIRouter(dependencies=[no_query])

MAX_CONCURRENT = 2
"""Analyses that a process runs at a time; each takes turns with the predictions for a processor."""

RETRY_SECONDS = 10
"""When to ask again if that many are running; a million customers take about so long."""


async def _places(request: Request) -> asyncio.Semaphore:
    return cast(asyncio.Semaphore, request.app.state.analyses)


Places = Annotated[asyncio.Semaphore, Depends(_places)]

_block = {
    "type": "object",
    "description": f"One line: at most {MAX_COLUMNAR} customers, in columns of the same length",
    "additionalProperties": False,
    "required": ["columns"],
    "properties": {
        "columns": columns_schema(CustomerFeatures.model_json_schema()),
        "ids": {
            "type": "array",
            "description": f"The customers' {CUST_ID}",
            "items": {"type": "string", "pattern": f"^{CUST_ID_PATTERN}$"},
        },
    },
}
_blocks = {"type": "array", "description": "Each element on a line of its own, without brackets", "items": _block}
_REFUSALS = {
    **NO_VERSION,
    "s400": "A line is not JSON; the detail has its number",
    "s408": "The client sent nothing for too long",
    "s413": "A line is too long",
    "s415": f"Body is not {NDJSON}",
    "s422": "Values that are not allowed, each with a JSON pointer into the line whose number the detail has",
    "s503": "No model is loaded, or too many analyses are running",
}


@router.post(
    MODELS + "/{version}/preview",
    response_model=Preview,
    openapi_extra=accepts(_blocks, NDJSON),
    responses=problems(**_REFUSALS, s409="The version cannot be served"),
)
async def preview(request: Request, version: Version, model: Model, places: Places) -> Preview:
    """Preview which customers would move if this version replaced the active one."""
    active, candidate = model.serving(), await model.of(version)
    counter = PreviewCounter(active, candidate)
    taken = accepted(active.dispensable & candidate.dispensable)
    await _count(request, places, taken, lambda block: counter.add(block.columns, block.ids))
    return counter.result(rfc3339(datetime.now(UTC)))


@router.post(
    MODELS + "/{version}/drift",
    response_model=Drift,
    openapi_extra=accepts(_blocks, NDJSON),
    responses=problems(**_REFUSALS, s409="The version cannot be served, or has no statistics of its training data"),
)
async def drift(request: Request, version: Version, model: Model, places: Places) -> Drift:
    """Measure drift: whether customers are still like those that this version was trained on."""
    predictor = await model.of(version)
    counter = DriftCounter(predictor)
    await _count(request, places, accepted(predictor.dispensable), lambda block: counter.add(block.columns))
    return counter.result(rfc3339(datetime.now(UTC)))


async def _count(
    request: Request, places: asyncio.Semaphore, taken: Accepted, add: Callable[[ColumnBlock], Any]
) -> None:
    """Give `add` all customers in the body, block by block."""
    if places.locked():
        detail = f"{MAX_CONCURRENT} analyses are running; try again in {RETRY_SECONDS} seconds."
        raise ApiError(503, "analysis_busy", detail, headers={"retry-after": str(RETRY_SECONDS)})

    def take(number: int, line: bytes) -> None:
        add(block_of(number, line, taken))

    async with places:
        async for number, line in lines(request):
            # In a thread, so that predictions go on in between.
            await asyncio.to_thread(take, number, line)
