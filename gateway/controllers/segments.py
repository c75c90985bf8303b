"""The segments resource."""

from __future__ import annotations

from flask import Response

from gateway.controllers.exchange import answer
from gateway.services.segments import SegmentService


class SegmentController:
    """The kinds of customer that the active model knows."""

    def __init__(self, segments: SegmentService) -> None:
        self._segments = segments

    def list(self) -> Response:
        """GET /segments."""
        return answer(self._segments.list())

    def get(self, segment_id: str) -> Response:
        """GET /segments/{id}."""
        return answer(self._segments.get(segment_id))
