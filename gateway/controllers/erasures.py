"""Receipts of erasures."""

from __future__ import annotations

from flask import Response

from gateway.controllers.exchange import answer, query
from gateway.schemas.queries import load_cust_id
from gateway.services.erasures import ErasureService


class ErasureController:
    """Look up what was erased."""

    def __init__(self, erasures: ErasureService) -> None:
        self._erasures = erasures

    def list(self) -> Response:
        """GET /erasures?CUST_ID=…."""
        return answer(self._erasures.of(load_cust_id(query())))

    def get(self, erasure_id: str) -> Response:
        """GET /erasures/{id}."""
        return answer(self._erasures.get(erasure_id))
