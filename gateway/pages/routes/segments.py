"""The pages of the segments; a table of its own, because every room has one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.segments import COMPARED, PERIOD, SegmentPagesController
from gateway.pages.routes import page
from gateway.routes import Route, Work
from gateway.services.principal import Scope

_READ = Scope.MODELS_READ


def segments(controller: SegmentPagesController) -> Sequence[Route]:
    """Return the routes of the segments."""
    one = "/segments/<segment:segment_id>"
    return (
        page("/segments", controller.list, _READ, work=Work.BOTH),
        page("/segments/compare", controller.compare, _READ, COMPARED, Work.BOTH),
        page(one, controller.show, _READ, work=Work.BOTH),
        page(f"{one}/moves", controller.moves, _READ, PERIOD, Work.LONG),
    )
