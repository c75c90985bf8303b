"""Which address shows which page, and what a key must be allowed to see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.pages.controllers.overview import OverviewController
from gateway.pages.controllers.sign_in import SignInController
from gateway.pages.controllers.static_files import StaticFileController
from gateway.routes import Resource, Route, View, Work
from gateway.routes.operation import Operation
from gateway.schemas.queries import Parameter
from gateway.services.principal import Scope

_NONE: Final = Operation("", "", "", {})
"""Pages are no operations of the API."""


def pages(sign_in: SignInController, files: StaticFileController, overview: OverviewController) -> Resource:
    """Return the routes of all pages."""
    return Resource(
        "Pages",
        "Pages for people.",
        (
            _page("/static/<digest>/<name>", files.file, None, work=Work.LIVENESS),
            _page("/sign-in", sign_in.form, None, sign_in.PARAMETERS, Work.PAGE),
            _page("/sign-in", sign_in.sign_in, None, work=Work.PAGE, method="POST"),
            _page("/sign-out", sign_in.sign_out, None, work=Work.PAGE, method="POST"),
            _page("/overview", overview.show, Scope.MODELS_READ, work=Work.BOTH),
        ),
        prefix="",
    )


def _page(
    path: str,
    view: View,
    scope: Scope | None,
    parameters: Sequence[Parameter] = (),
    work: Work = Work.MANY,
    method: str = "GET",
) -> Route:
    return Route(method, path, view, scope, _NONE, parameters, work)
