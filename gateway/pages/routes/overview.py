"""The first page, and what needs attention; a table of its own, because every room has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.pages.controllers.overview import OverviewController
from gateway.pages.routes import page
from gateway.routes import Route, Work
from gateway.services.principal import Scope

_ANY: Final = tuple(Scope)
"""Whoever signs in comes here first, and sees what the key may see."""


def overview(controller: OverviewController) -> Sequence[Route]:
    """Return the routes of the overview."""
    return (
        page("/overview", controller.show, Scope.MODELS_READ, work=Work.BOTH, or_scopes=_ANY),
        page("/settings/alerts", controller.alerts, Scope.MODELS_READ, work=Work.BOTH),
    )
