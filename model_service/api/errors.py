"""Every error answer of the service is a problem (RFC 9457), made here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from model_service.log_format import current_request_id
from model_service.store import errors as registry
from model_service.store.errors import NoEvidence, TrainingEnded, TrainingNotFound
from shared.problems import MEDIA_TYPE, FieldError, code_of, problem

log = logging.getLogger(__name__)

STATUSES: dict[type[Exception], tuple[int, str]] = {
    registry.NoActiveModel: (503, "model_not_loaded"),
    registry.VersionNotFound: (404, "version_not_found"),
    registry.SegmentNotFound: (404, "segment_not_found"),
    registry.NothingToRollBack: (409, "nothing_to_roll_back"),
    registry.GateRefused: (409, "gate_refused"),
    registry.ReasonRequired: (422, "validation_failed"),
    registry.NameTaken: (409, "name_taken"),
    registry.LabelsDamaged: (409, "labels_damaged"),
    registry.StoreNotWritable: (507, "store_not_writable"),
    registry.ArtefactDamaged: (409, "artefact_damaged"),
    registry.IncompatibleModel: (409, "incompatible_model"),
    registry.LabelsDiffer: (409, "labels_differ"),
    registry.TrainingRunning: (409, "training_running"),
    TrainingNotFound: (404, "training_not_found"),
    TrainingEnded: (409, "training_ended"),
    NoEvidence: (409, "no_evidence"),
    registry.RegistryError: (500, "registry_error"),
}
"""What the registry may say, and how it leaves: the first entry that fits counts."""


class ApiError(Exception):
    """A request that cannot be answered; becomes a problem with this status and code."""

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[FieldError] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors


def validation_failed(errors: Sequence[FieldError]) -> ApiError:
    """Return the 422 for these refused values."""
    return ApiError(422, "validation_failed", "The request contains values that are not allowed.", errors)


def problem_response(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an HTTP answer."""
    body = problem(status, code, detail, current_request_id.get(), errors)
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make `app` answer its own and the framework's errors as problems."""
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(registry.RegistryError, _answer_registry_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)


async def _answer_api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return problem_response(error.status, error.code, error.detail, error.errors)


async def _answer_registry_error(_request: Request, error: Exception) -> Response:
    status, code = next(answer for kind, answer in STATUSES.items() if isinstance(error, kind))
    assert isinstance(error, registry.RegistryError)
    if error.__cause__:  # with the places of files, which no client is told
        log.warning("%s (%s: %s)", error, type(error.__cause__).__name__, error.__cause__)
    return problem_response(status, code, str(error), error.errors)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: unknown routes and wrong methods."""
    assert isinstance(error, HTTPException)
    headers = {"allow": _allowed(request)} if error.status_code == 405 else error.headers
    return problem_response(error.status_code, code_of(error.status_code), str(error.detail), headers=headers)


def _allowed(request: Request) -> str:
    """Return the methods of an address; the framework names those of one route alone."""
    path = request.scope["path"]
    routes = [
        route
        for route in request.app.routes
        if route.include_in_schema and route.matches(request.scope)[0] is not Match.NONE
    ]
    literal = [route for route in routes if route.path == path]  # rather than a route with this name as its variable
    return ", ".join(sorted({method for route in literal or routes for method in route.methods}))
