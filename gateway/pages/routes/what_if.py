"""The page of made-up customers; a table of its own, because every room has one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.what_if import WhatIfController
from gateway.pages.routes import page
from gateway.routes import Route, Work
from gateway.services.principal import Scope


def what_if(controller: WhatIfController) -> Sequence[Route]:
    """Return the routes of the page."""
    return (page("/what-if", controller.form, Scope.PREDICTIONS, controller.PARAMETERS, Work.QUICK),)
