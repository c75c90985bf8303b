"""The segments resource; a module of its own, because every resource has one of its name in each layer."""

from __future__ import annotations

from flask import Response

from gateway.controllers.http import JSON, MERGE_PATCH, json_response, query, read_object
from gateway.services.events.as_of import AsOfService
from gateway.services.models.segments import SegmentService


class SegmentController:
    """The kinds of customer that the active model knows."""

    def __init__(self, segments: SegmentService, as_of: AsOfService) -> None:
        self._segments = segments
        self._as_of = as_of

    def list(self) -> Response:
        """GET /segments."""
        if (at := query().get("as_of")) is not None:
            return json_response(self._as_of.sizes(at))
        return json_response(self._segments.list())

    def get(self, segment_id: str) -> Response:
        """GET /segments/{id}."""
        return json_response(self._segments.get(segment_id))

    def label(self, segment_id: str) -> Response:
        """PATCH /segments/{id}."""
        return json_response(self._segments.label(segment_id, read_object(MERGE_PATCH, JSON)))
