"""The ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from model_service import metrics
from model_service.active_model import ActiveModel
from model_service.api import analysis, models, moves, plots, segments, service, trainings
from model_service.api.errors import HANDLERS
from model_service.api.hot import predictions
from model_service.api.middleware import Authentication, RequestLog, TracedRequests
from model_service.api.open_inference import routes as open_inference
from model_service.api.openapi import complete_document
from model_service.metrics import OfTheStore
from model_service.settings import Settings, load_server_settings
from model_service.store.registry import open_store
from model_service.training_jobs.jobs import TrainingJobs
from shared.metrics.text import tidy_metrics
from shared.telemetry import traces

ROUTERS = (
    models.router,
    segments.router,
    trainings.uploads,
    trainings.router,
    analysis.router,
    moves.router,
    plots.reports,
    plots.router,
    open_inference.router,
    service.router,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; without `settings` they are read from the environment.

    The active model is loaded when the server starts the application, and followed from then on.

    Raises
    ------
    SettingsError
        when an environment variable has a wrong value.
    """
    app = FastAPI(
        title="Model service",
        description="Predicts which segment a credit-card customer belongs to.",
        version="1",
        docs_url=None,  # its page would load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        routes=[*predictions.ROUTES, *open_inference.ROUTES],
        exception_handlers=HANDLERS,
        strict_content_type=False,  # StrictRoute looks at it
        lifespan=_following,
        # FastAPI's own, which some variables turn on, would send addresses, bodies and the texts of exceptions.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    settings = settings or load_server_settings()
    app.state.settings = settings
    app.state.store = open_store(settings)
    app.state.store.signer.on_refusal = metrics.signature_refused
    app.state.model = ActiveModel(app.state.store, settings.currency)
    app.state.jobs = TrainingJobs(settings.model_store)
    model, jobs = app.state.model, app.state.jobs
    tidy_metrics()
    app.state.metrics = OfTheStore(lambda: model.status.version, jobs.is_running)
    app.state.analyses = asyncio.Semaphore(analysis.MAX_CONCURRENT)
    app.state.drawing = plots.Drawing(settings.currency)
    app.add_middleware(
        Authentication,
        secret=settings.model_service_secret,
        inference_secret=settings.model_inference_secret,
        metrics_networks=settings.metrics_networks,
    )
    app.add_middleware(RequestLog)  # around the other, so that refusals are logged and have a request id
    traces.begin("model-service")
    if traces.on():
        app.add_middleware(TracedRequests)
    for router in ROUTERS:
        app.include_router(router)
    complete_document(app)
    return app


@contextlib.asynccontextmanager
async def _following(app: FastAPI) -> AsyncIterator[None]:
    model: ActiveModel = app.state.model
    await asyncio.to_thread(model.refresh)
    await asyncio.to_thread(app.state.jobs.tidy)
    task = asyncio.create_task(model.follow(app.state.settings.model_poll_seconds))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    traces.flush()
