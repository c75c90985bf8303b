"""The ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from model_service.active_model import ActiveModel
from model_service.api import analysis, errors, models, plots, segments, service, trainings
from model_service.api.hot import predictions
from model_service.api.middleware import GatewayOnly, RequestEnvelope, document
from model_service.api.open_inference import routes as open_inference
from model_service.api.routes import add_routes
from model_service.settings import Settings, load_server_settings
from model_service.store.registry import ModelStore
from model_service.training_jobs.jobs import TrainingJobs


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; without `settings` they are read from the environment.

    The active model is loaded when the server starts the application, and followed from then on.

    Raises
    ------
    SettingsError
        when an environment variable has a wrong value.
    """
    settings = settings or load_server_settings()
    store = ModelStore(settings.model_store)
    model = ActiveModel(store)
    jobs = TrainingJobs(settings.model_store)
    app = FastAPI(
        title="Model service",
        description="Predicts which segment a credit-card customer belongs to.",
        version="1",
        docs_url=None,  # its page would load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lambda _: _following(model, settings.model_poll_seconds, jobs),
    )
    app.add_middleware(GatewayOnly, secret=settings.model_service_secret)
    app.add_middleware(RequestEnvelope)  # around the other, so that refusals are logged and have a request id
    tables = [
        predictions.routes(model, settings.max_body_bytes),
        models.routes(model, store),
        segments.routes(model, store),
        trainings.routes(jobs, settings.max_upload_bytes),
        analysis.routes(model),
        plots.routes(model, store),
        open_inference.routes(model, store, settings.max_body_bytes),
        service.routes(model),
    ]
    add_routes(app, tables)
    errors.install(app)
    document(app)
    return app


@contextlib.asynccontextmanager
async def _following(model: ActiveModel, seconds: float, jobs: TrainingJobs) -> AsyncIterator[None]:
    await asyncio.to_thread(model.refresh)
    await asyncio.to_thread(jobs.tidy)
    task = asyncio.create_task(model.follow(seconds))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
