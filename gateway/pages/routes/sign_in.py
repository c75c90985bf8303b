"""Signing in and out, and the files of all pages: a table of its own, because nobody has a key yet."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.sign_in import SignInController
from gateway.pages.controllers.static_files import StaticFileController
from gateway.pages.routes import page
from gateway.routes import Route, Work


def sign_in(controller: SignInController, files: StaticFileController) -> Sequence[Route]:
    """Return the routes that need no key."""
    return (
        page("/static/<digest>/<name>", files.file, None, work=Work.LIVENESS),
        page("/sign-in", controller.form, None, controller.FORM, Work.QUICK),
        page("/sign-in", controller.sign_in, None, work=Work.QUICK, method="POST"),
        page("/sign-in/once", controller.once, None, work=Work.PAGE),
        page("/sign-in/issuer", controller.to_issuer, None, controller.FORM, Work.QUICK),
        page("/sign-in/callback", controller.from_issuer, None, controller.CALLBACK, Work.QUICK),
        page("/sign-out", controller.sign_out, None, work=Work.QUICK, method="POST"),
    )
