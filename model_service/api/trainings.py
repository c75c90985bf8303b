"""Trainings: start one from an uploaded file, follow it, stop it."""

from __future__ import annotations

import asyncio

from fastapi import Request
from fastapi.responses import Response

from model_service.api import training_documentation as documentation
from model_service.api.bodies import checked_body, heard_out, media_type, receive
from model_service.api.erasure_order import ErasureOrder
from model_service.api.routes import Route, json_answer
from model_service.api.training_query import Asked, asked
from model_service.training_jobs.folder import UPLOADS
from model_service.training_jobs.jobs import Draft, TrainingJobs, start_process
from shared.model_contract import ERASURES, MODELS, TRAININGS, Erased, Training


def routes(jobs: TrainingJobs, max_upload_bytes: int) -> tuple[Route, ...]:
    """Return the table of trainings."""
    endpoints = _Endpoints(jobs, max_upload_bytes)
    return (
        Route("POST", MODELS, endpoints.create, documentation.CREATE),
        Route("GET", TRAININGS, endpoints.list, documentation.LIST),
        Route("GET", TRAININGS + "/{id}", endpoints.get, documentation.GET),
        Route("GET", TRAININGS + "/{id}/log", endpoints.log, documentation.LOG),
        Route("POST", TRAININGS + "/{id}/cancel", endpoints.cancel, documentation.CANCEL),
        Route("POST", ERASURES, endpoints.erase, documentation.ERASE),
    )


class _Endpoints:
    def __init__(self, jobs: TrainingJobs, max_upload_bytes: int) -> None:
        self._jobs = jobs
        self._max_upload_bytes = max_upload_bytes

    async def create(self, request: Request) -> Response:
        async with heard_out(request):
            training = asked(request)
            name = UPLOADS[media_type(request, UPLOADS, self._max_upload_bytes)]
            await asyncio.to_thread(self._jobs.refuse_second)  # now rather than after a gigabyte
        draft = await asyncio.to_thread(self._jobs.draft)
        try:
            size = await receive(request, draft.folder.path / name, self._max_upload_bytes)
        except BaseException:  # a client that left, too
            await asyncio.to_thread(self._jobs.discard, draft)
            raise
        record = await asyncio.to_thread(self._begin, draft, training, name, size)
        return json_answer(record, 202, {"location": f"{TRAININGS}/{record['id']}"})

    def _begin(self, draft: Draft, training: Asked, name: str, size: int) -> Training:
        job = self._jobs.begin(draft, training.by, training.note, training.options, name, size)
        start_process(self._jobs, job)
        return job.record

    async def list(self, _request: Request) -> Response:
        return json_answer({"items": await asyncio.to_thread(self._jobs.records)})

    async def get(self, request: Request) -> Response:
        return json_answer(await asyncio.to_thread(self._jobs.get, request.path_params["id"]))

    async def log(self, request: Request) -> Response:
        text = await asyncio.to_thread(self._jobs.log, request.path_params["id"])
        return Response(text, media_type="text/plain; charset=utf-8")

    async def cancel(self, request: Request) -> Response:
        return json_answer(await asyncio.to_thread(self._jobs.cancel, request.path_params["id"]), 202)

    async def erase(self, request: Request) -> Response:
        order = await checked_body(request, ErasureOrder)
        return json_answer(Erased(erased=await asyncio.to_thread(self._jobs.erase, order.CUST_ID)))
