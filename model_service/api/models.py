"""The registry: which versions there are, which is active, and making another one so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api import registry_documentation as documentation
from model_service.api.bodies import JSON, checked_body
from model_service.api.decisions import Activate, Rollback
from model_service.api.routes import Route, json_answer
from model_service.store.description import catalogue, describe, description, history
from model_service.store.registry import ModelStore
from shared.contract import ACTIVE_MODEL
from shared.model_contract import ACTIVATIONS, MODELS, Activation

_JSON_OR_NOTHING = (JSON, "")


def routes(model: ActiveModel, store: ModelStore) -> tuple[Route, ...]:
    """Return the table of the registry."""
    endpoints = _Endpoints(model, store)
    return (
        Route("GET", MODELS, endpoints.list, documentation.LIST),
        Route("GET", ACTIVE_MODEL, endpoints.active, documentation.ACTIVE_MODEL),
        Route("GET", MODELS + "/{version}", endpoints.get, documentation.GET),
        Route("GET", MODELS + "/{version}/gate", endpoints.gate, documentation.GATE),
        Route("POST", MODELS + "/rollback", endpoints.rollback, documentation.ROLLBACK),
        Route("POST", MODELS + "/{version}/activate", endpoints.activate, documentation.ACTIVATE),
        Route("GET", ACTIVATIONS, endpoints.activations, documentation.ACTIVATIONS),
    )


class _Endpoints:
    def __init__(self, model: ActiveModel, store: ModelStore) -> None:
        self._model = model
        self._store = store

    async def list(self, _request: Request) -> Response:
        return json_answer(await asyncio.to_thread(catalogue, self._store, self._model.status.version))

    async def active(self, _request: Request) -> Response:
        predictor = self._model.serving()
        return json_answer(describe(predictor.manifest, predictor.labels))

    async def get(self, request: Request) -> Response:
        return json_answer(await asyncio.to_thread(description, self._store, request.path_params["version"]))

    async def gate(self, request: Request) -> Response:
        return json_answer(await asyncio.to_thread(self._store.gate, request.path_params["version"]))

    async def activate(self, request: Request) -> Response:
        version = request.path_params["version"]
        wish = await checked_body(request, Activate, _JSON_OR_NOTHING)
        return await self._switched(lambda: self._store.activate(version, wish.reason, wish.by, wish.force))

    async def rollback(self, request: Request) -> Response:
        wish = await checked_body(request, Rollback, _JSON_OR_NOTHING)
        return await self._switched(lambda: self._store.rollback(wish.reason, wish.by))

    async def _switched(self, switch: Callable[[], Activation]) -> Response:
        """Answer when this process serves the other version already; the others follow at their next look."""
        activation = await asyncio.to_thread(switch)
        await asyncio.to_thread(self._model.refresh)
        return json_answer(activation)

    async def activations(self, _request: Request) -> Response:
        return json_answer({"items": await asyncio.to_thread(history, self._store)})
