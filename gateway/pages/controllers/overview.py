"""The first page: who the customers are, and whether everything is in order; a module because every room is one."""

from __future__ import annotations

from flask import Response

from gateway.pages.rendering import page
from gateway.services.models.segments import SegmentService


class OverviewController:
    """What one looks at first."""

    def __init__(self, segments: SegmentService) -> None:
        self._segments = segments

    def show(self) -> Response:
        """GET /overview."""
        return page("overview.html", segments=self._segments.list())
