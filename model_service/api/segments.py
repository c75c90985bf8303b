"""What people call the segments."""

from __future__ import annotations

import asyncio

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api import registry_documentation as documentation
from model_service.api.bodies import JSON, checked_body
from model_service.api.routes import Route, json_answer
from model_service.store.labelling import label_of, labels_in_use, relabel
from model_service.store.labels import LabelPatch
from model_service.store.registry import ModelStore
from shared.model_contract import SEGMENTS

MERGE_PATCH = "application/merge-patch+json"


def routes(model: ActiveModel, store: ModelStore) -> tuple[Route, ...]:
    """Return the table of the segments' labels."""
    endpoints = _Endpoints(model, store)
    return (
        Route("GET", SEGMENTS, endpoints.list, documentation.LABELS),
        Route("GET", SEGMENTS + "/{id}", endpoints.get, documentation.LABEL),
        Route("PATCH", SEGMENTS + "/{id}", endpoints.patch, documentation.RELABEL),
    )


class _Endpoints:
    def __init__(self, model: ActiveModel, store: ModelStore) -> None:
        self._model = model
        self._store = store

    async def list(self, _request: Request) -> Response:
        return json_answer({"items": await asyncio.to_thread(labels_in_use, self._store)})

    async def get(self, request: Request) -> Response:
        return json_answer(await asyncio.to_thread(label_of, self._store, request.path_params["id"]))

    async def patch(self, request: Request) -> Response:
        patch = await checked_body(request, LabelPatch, (JSON, MERGE_PATCH))
        label = await asyncio.to_thread(relabel, self._store, request.path_params["id"], patch)
        await asyncio.to_thread(self._model.refresh)
        return json_answer(label)
