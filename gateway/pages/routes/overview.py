"""The first page; a table of its own, because every room has one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.overview import OverviewController
from gateway.pages.routes import page
from gateway.routes import Route, Work
from gateway.services.principal import Scope


def overview(controller: OverviewController) -> Sequence[Route]:
    """Return the routes of the overview."""
    return (page("/overview", controller.show, Scope.MODELS_READ, work=Work.BOTH),)
