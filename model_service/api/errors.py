"""Every error answer of the service is a problem (RFC 9457), made here."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from starlette import exceptions as starlette_exceptions

from model_service.store import errors as store
from shared.features import BY_NAME
from shared.problems import MEDIA_TYPE, FieldError, code_of, problem
from shared.telemetry.logs import current_request_id

log = logging.getLogger(__name__)

STATUSES: dict[type[store.RegistryError], tuple[int, str]] = {
    store.NoActiveModel: (503, "model_not_loaded"),
    store.VersionNotFound: (404, "version_not_found"),
    store.SegmentNotFound: (404, "segment_not_found"),
    store.NothingToRollBack: (409, "nothing_to_roll_back"),
    store.GateRefused: (409, "gate_refused"),
    store.ReasonRequired: (422, "validation_failed"),
    store.NameTaken: (409, "name_taken"),
    store.LabelChanged: (409, "label_changed"),
    store.LabelsDamaged: (409, "labels_damaged"),
    store.StoreNotWritable: (507, "store_not_writable"),
    store.SignatureRefused: (409, "signature_refused"),
    store.ArtefactDamaged: (409, "artefact_damaged"),
    store.IncompatibleModel: (409, "incompatible_model"),
    store.LabelsDiffer: (409, "labels_differ"),
    store.TrainingRunning: (409, "training_running"),
    store.TrainingNotFound: (404, "training_not_found"),
    store.TrainingEnded: (409, "training_ended"),
    store.NoEvidence: (409, "no_evidence"),
    store.RegistryError: (500, "registry_error"),
}
"""What the model store may say, and how it leaves: the first entry that fits counts."""

OPEN_INFERENCE = "/v2"
"""Where the Open Inference Protocol begins; its problems have an ``error`` member besides."""


def is_open_inference(path: str) -> bool:
    """Whether an address belongs to the Open Inference Protocol."""
    return path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/")


NO_PARAMETER = "is not a parameter of this request"

_ERRORS_IN_TEXT = 3
"""Refused values named in ``error``; all of them are in ``errors``."""

_DETAILS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "model_type": "must be an object",
    "dict_type": "must be an object",
}


class ApiError(HTTPException):
    """A request that cannot be answered; becomes a problem with this status and code."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[FieldError] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.errors = errors


def validation_failed(errors: Sequence[FieldError]) -> ApiError:
    """Return the 422 for these refused values."""
    return ApiError(422, "validation_failed", "The request contains values that are not allowed.", errors)


def field_errors(error: ValidationError, prefix: str = "") -> list[FieldError]:
    """Return what is wrong as (JSON pointer, detail) pairs; `prefix` points at the validated value."""
    return [
        FieldError(pointer=pointer(prefix, e["loc"]), detail=_detail(e, e["loc"]))
        for e in error.errors(include_url=False)
    ]


def pointer(prefix: str, path: Iterable[str | int]) -> str:
    """Return `prefix` continued by `path` as a JSON pointer (RFC 6901)."""
    return prefix + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _detail(error: Mapping[str, Any], path: Sequence[str | int]) -> str:
    """Word a finding as tier 1 does: by the feature's own rule where the value breaks one, else as "must be …"."""
    if error["type"] in _DETAILS:
        return _DETAILS[error["type"]]
    feature = BY_NAME.get(str(path[0])) if path else None
    return (feature and feature.fault(error["input"])) or must(error["msg"])


def must(message: str) -> str:
    """Word pydantic's "Input should be …" and "String should have …" as all other details: "must …"."""
    return re.sub(r"^\w+ should ", "must ", message.removeprefix("Value error, "))


def problem_response(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as an HTTP answer."""
    body = problem(status, code, detail, current_request_id.get() or "-", errors)
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


async def _answer_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _refusal(request, error.status_code, error.code, error.detail, error.errors, error.headers)


async def _answer_registry_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, store.RegistryError)
    status, code = next(answer for kind, answer in STATUSES.items() if isinstance(error, kind))
    if error.__cause__:  # with the places of files, which no client is told
        log.warning("%s (%s)", error, error.__cause__)
    return _refusal(request, status, code, str(error), error.errors)


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    """Answer what FastAPI finds wrong with the body (by JSON pointers into it) or with the query (as ``?name``)."""
    assert isinstance(error, RequestValidationError)
    found = []
    for e in error.errors():
        place, *path = e["loc"]
        if place == "query":
            unknown = e["type"] == "extra_forbidden"
            detail = NO_PARAMETER if unknown else must(e["msg"])
            found.append(FieldError(pointer=f"?{path[0]}", detail=detail))
        else:
            found.append(FieldError(pointer=pointer("", path), detail=_detail(e, path)))
    return await _answer_api_error(request, validation_failed(found))


def _refusal(
    request: Request,
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    if not is_open_inference(request.scope["path"]):
        return problem_response(status, code, detail, errors, headers)
    found = "; ".join(f"{error['pointer']} {error['detail']}" for error in (errors or ())[:_ERRORS_IN_TEXT])
    body: dict[str, Any] = {**problem(status, code, detail, current_request_id.get() or "-", errors)}
    body["error"] = f"{detail} {found}".rstrip()
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: unknown routes and wrong methods."""
    assert isinstance(error, starlette_exceptions.HTTPException)
    headers = {"allow": _allowed(request)} if error.status_code == 405 else error.headers
    return problem_response(error.status_code, code_of(error.status_code), str(error.detail), headers=headers)


def _allowed(request: Request) -> str:
    """Return the methods of an address; the framework names those of one route alone."""
    path, paths = request.scope["path"], request.app.openapi()["paths"]
    # Rather the address itself than one with this name as its variable.
    places = [path] if path in paths else [p for p in paths if re.fullmatch(re.sub("{[^}]+}", "[^/]+", p), path)]
    return ", ".join(sorted({method.upper() for place in places for method in paths[place]}))


HANDLERS: dict[int | type[Exception], Any] = {
    ApiError: _answer_api_error,
    store.RegistryError: _answer_registry_error,
    RequestValidationError: _answer_validation_error,
    starlette_exceptions.HTTPException: _answer_http_exception,
}
"""How the application answers its own and the framework's errors."""
