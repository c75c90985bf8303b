"""The pages about versions of the model and trainings."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.models import ModelPages
from gateway.pages.routes import page
from gateway.routes import Route, Work
from gateway.services.principal import Scope


def models(controller: ModelPages) -> Sequence[Route]:
    """Return the routes of what there is to see of the model; orders go over the API."""
    read = Scope.MODELS_READ
    return (
        page("/models", controller.list, read, work=Work.BOTH),
        page("/models/<version:version>", controller.version, read, work=Work.BOTH),
        page("/trainings/<name:training_id>", controller.training, read, work=Work.MODEL),
    )
