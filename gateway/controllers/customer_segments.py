"""The segment of one stored customer."""

from __future__ import annotations

from flask import Response

from gateway.controllers.customers import checked_id
from gateway.controllers.exchange import answer, query
from gateway.schemas.queries import load_explain
from gateway.services.customer_segments import CustomerSegmentService


class CustomerSegmentController:
    """Read a customer's segment, or have it scored anew."""

    def __init__(self, segments: CustomerSegmentService) -> None:
        self._segments = segments

    def get(self, cust_id: str) -> Response:
        """GET /customers/{CUST_ID}/segment."""
        return answer(self._segments.get(checked_id(cust_id), explain=load_explain(query())))

    def rescore(self, cust_id: str) -> Response:
        """POST /customers/{CUST_ID}/segment."""
        return answer(self._segments.rescore(checked_id(cust_id), explain=load_explain(query())))
