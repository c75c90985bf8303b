"""Imports: a table of its own, because every room has one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.imports import ImportPagesController
from gateway.pages.routes import page
from gateway.routes import Route
from gateway.services.principal import Scope


def imports(controller: ImportPagesController) -> Sequence[Route]:
    """Return the routes of the imports."""
    return (
        page("/imports", controller.list, Scope.CUSTOMERS_WRITE, controller.PARAMETERS),
        page("/imports/<name:import_id>", controller.show, Scope.CUSTOMERS_WRITE),
    )
