"""Which refusals of the model service a client hears: those listed here, and nothing else that it answers."""

from __future__ import annotations

import logging

from gateway.data_access.model_service.answers import decoded
from gateway.services.errors import (
    ModelAccessDenied,
    ModelMalformed,
    ModelUnavailable,
    RegistryRefusal,
    SegmentationError,
)
from shared.problems import Problem

log = logging.getLogger(__name__)

KNOWN = {
    "malformed_json": 400,
    "version_not_found": 404,
    "segment_not_found": 404,
    "training_not_found": 404,
    "report_not_found": 404,
    "plot_not_found": 404,
    "request_timeout": 408,
    "artefact_damaged": 409,
    "incompatible_model": 409,
    "labels_differ": 409,
    "no_evidence": 409,
    "gate_refused": 409,
    "nothing_to_roll_back": 409,
    "name_taken": 409,
    "labels_damaged": 409,
    "training_running": 409,
    "training_ended": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "validation_failed": 422,
    "analysis_busy": 503,
    "store_not_writable": 507,
}
"""The code of each refusal and the status that the model service gives with it, and the gateway too."""


def fault_of(status: int, text: bytes) -> SegmentationError:
    """Return what an answer with a status that is no success means."""
    problem = _problem(text)
    if problem and KNOWN.get(problem["code"]) == status:
        return RegistryRefusal(status, problem["code"], problem["detail"], problem.get("errors", []))
    if status == 401:
        log.error("the model service does not know this gateway: give both tiers the same MODEL_SERVICE_SECRET")
        return ModelAccessDenied()
    if status == 503:
        return ModelUnavailable("The model service has no model loaded.")
    return ModelMalformed(f"The model service answered with status {status}.")


def _problem(text: bytes) -> Problem | None:
    try:
        return decoded(Problem, text)
    except ModelMalformed:
        return None
