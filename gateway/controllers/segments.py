"""The segments resource; a module of its own, because every resource has one of its name in each layer."""

from __future__ import annotations

from flask import Response

from gateway.controllers.customers import CustomerListController
from gateway.controllers.http import JSON, MERGE_PATCH, json_response, query, read_object
from gateway.controllers.pages import page_by_id
from gateway.services.customers.query import Condition, Op
from gateway.services.events.as_of import AsOfService
from gateway.services.models.segment_snapshots import SegmentSizes
from gateway.services.models.segments import SegmentService
from gateway.services.models.transitions import TransitionService


class SegmentController:
    """The kinds of customer that the active model knows."""

    def __init__(
        self,
        segments: SegmentService,
        sizes: SegmentSizes,
        transitions: TransitionService,
        lists: CustomerListController,
        as_of: AsOfService,
    ) -> None:
        self._segments = segments
        self._sizes = sizes
        self._transitions = transitions
        self._lists = lists
        self._as_of = as_of

    def list(self) -> Response:
        """GET /segments."""
        if (at := query().get("as_of")) is not None:
            return json_response(self._as_of.sizes(at))
        return json_response(self._segments.list())

    def sizes(self) -> Response:
        """GET /segments/sizes."""
        values = query()
        times = (values.get("since"), values.get("until"))
        return page_by_id(self._sizes.page(values["step"], *times, values.get("cursor"), values["limit"]))

    def transitions(self) -> Response:
        """GET /segments/transitions."""
        return json_response(self._transitions.between(query()["since"], query().get("until")))

    def get(self, segment_id: str) -> Response:
        """GET /segments/{id}."""
        return json_response(self._segments.get(segment_id))

    def customers(self, segment_id: str) -> Response:
        """GET /segments/{id}/customers."""
        return self._lists.list(Condition("segment", Op.EQ, segment_id))

    def label(self, segment_id: str) -> Response:
        """PATCH /segments/{id}."""
        return json_response(self._segments.label(segment_id, read_object(MERGE_PATCH, JSON)))
