"""Batches of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, g

from gateway.controllers.exchange import answer, query, read_json
from gateway.schemas.batches import load_mode, load_rows
from gateway.services.batches import BatchService, RowResult, counts
from gateway.services.errors import (
    CustomerExists,
    DuplicateInBatch,
    InvalidInput,
    RevisionRequired,
    SegmentationError,
    StaleRevision,
)
from shared.features import CUST_ID
from shared.problems import Problem, problem

REFUSALS: Mapping[type[SegmentationError], tuple[int, str]] = {
    InvalidInput: (422, "validation_failed"),
    DuplicateInBatch: (422, "duplicate_in_batch"),
    CustomerExists: (409, "customer_exists"),
    StaleRevision: (412, "revision_mismatch"),
    RevisionRequired: (428, "precondition_required"),
}
"""Why a row can be rejected: as a request with that customer alone would be (a test compares both tables)."""


class BatchController:
    """Create and update many customers at once."""

    def __init__(self, batches: BatchService) -> None:
        self._batches = batches

    def write(self) -> Response:
        """POST /customers/batch."""
        mode = load_mode(query())
        results = self._batches.write(load_rows(read_json(), mode), mode)
        return answer({"results": [_dumped(result) for result in results], **counts(results)})


def _dumped(result: RowResult) -> dict[str, Any]:
    body: dict[str, Any] = {
        CUST_ID: result.cust_id,
        "status": result.status,
        "revision": result.revision,
        "segment_status": result.segment_status,
        "warnings": result.warnings,
    }
    return {**body, "error": _problem(result.error)} if result.error else body


def _problem(error: SegmentationError) -> Problem:
    status, code = REFUSALS[type(error)]
    return problem(status, code, str(error), g.request_id, getattr(error, "errors", ()))
