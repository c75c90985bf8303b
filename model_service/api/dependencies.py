"""What endpoints ask for by `Depends`: the parts of the application, and that a request has no query."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from model_service.active_model import ActiveModel
from model_service.api.errors import NO_PARAMETER, validation_failed
from model_service.settings import Settings
from model_service.store.registry import ModelStore
from model_service.training_jobs.jobs import TrainingJobs
from shared.problems import FieldError


async def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def _store(request: Request) -> ModelStore:
    return cast(ModelStore, request.app.state.store)


async def _model(request: Request) -> ActiveModel:
    return cast(ActiveModel, request.app.state.model)


async def _jobs(request: Request) -> TrainingJobs:
    return cast(TrainingJobs, request.app.state.jobs)


TheSettings = Annotated[Settings, Depends(_settings)]
Store = Annotated[ModelStore, Depends(_store)]
Model = Annotated[ActiveModel, Depends(_model)]
Jobs = Annotated[TrainingJobs, Depends(_jobs)]


async def _no_query(request: Request) -> None:
    names = sorted(set(request.query_params))
    if names:
        raise validation_failed([FieldError(pointer=f"?{name}", detail=NO_PARAMETER) for name in names])


async def _each_once(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise validation_failed([FieldError(pointer=f"?{name}", detail="is given more than once") for name in repeated])


no_query = Depends(_no_query)
"""Refuses parameters that the request would not look at, since they may be misspelt or misplaced."""
each_once = Depends(_each_once)
"""Refuses a parameter that is given more than once."""
