"""The one table from what went wrong to the answer: RFC 9457 problem+json for programs, a page for people."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from gateway.pages import errors as pages
from gateway.services import errors as e
from shared.features import CUST_ID_RULE
from shared.problems import MEDIA_TYPE, FieldError, code_of, problem
from shared.strict_json import MalformedJSON

log = logging.getLogger(__name__)

STATUSES: dict[type[Exception], tuple[int, str]] = {
    MalformedJSON: (400, "malformed_json"),
    e.InvalidInput: (422, "validation_failed"),
    e.Unauthenticated: (401, "unauthenticated"),
    e.RateLimited: (429, "rate_limited"),
    e.ScopeMissing: (403, "insufficient_scope"),
    e.CsrfTokenWrong: (403, "csrf_token_wrong"),
    e.ApiKeyNotFound: (404, "api_key_not_found"),
    e.ApiKeyUnusable: (409, "api_key_unusable"),
    e.IssuerUnavailable: (503, "issuer_unavailable"),
    e.IssuerMisconfigured: (500, "issuer_misconfigured"),
    e.CustomerNotFound: (404, "customer_not_found"),
    e.CustomerExists: (409, "customer_exists"),
    e.BeforeMemory: (410, "as_of_expired"),
    e.CustomerNotNew: (412, "customer_not_new"),
    e.StaleRevision: (412, "revision_mismatch"),
    e.RevisionRequired: (428, "precondition_required"),
    e.CustomerNotDeleted: (404, "customer_not_deleted"),
    e.MatchingDiffer: (409, "count_mismatch"),
    e.CursorExpired: (410, "cursor_expired"),
    e.TooManyReaders: (503, "too_many_readers"),
    e.QueryNotIndexed: (422, "query_not_indexed"),
    e.DuplicateInBatch: (422, "duplicate_in_batch"),
    e.ErasureNotFound: (404, "erasure_not_found"),
    e.WebhookNotFound: (404, "webhook_not_found"),
    e.DeliveryNotFound: (404, "delivery_not_found"),
    e.TooManyWebhooks: (409, "too_many_webhooks"),
    e.Contended: (409, "contended"),
    e.SegmentNotFound: (404, "segment_not_found"),
    e.SegmentsBeingCounted: (503, "segments_being_counted"),
    e.IdempotencyKeyReused: (422, "idempotency_key_reused"),
    e.RequestInProgress: (409, "idempotency_in_progress"),
    e.OutcomeUnknown: (409, "idempotency_outcome_unknown"),
    e.ResponseNotStored: (409, "idempotency_answer_not_kept"),
    e.ImportNotFound: (404, "import_not_found"),
    e.ImportRunning: (409, "import_running"),
    e.MirrorRunning: (409, "mirror_running"),
    e.ImportEnded: (409, "import_ended"),
    e.UploadBroken: (400, "upload_broken"),
    e.ImportInterrupted: (503, "import_interrupted"),
    e.ImportUnreadable: (422, "import_unreadable"),
    e.ImportFailed: (500, "import_failed"),
    e.MirrorRefused: (409, "mirror_refused"),
    e.OthersStored: (409, "customers_stored"),
    e.SampleMissing: (404, "sample_missing"),
    e.AnalysisBusy: (503, "analysis_busy"),
    e.PagesBusy: (503, "clients_slow"),
    e.StoreUnavailable: (503, "store_unavailable"),
    e.QueryTimeout: (503, "query_timeout"),
    e.PeriodTooLong: (503, "period_too_long"),
    e.StoreError: (500, "store_error"),
    e.ModelUnavailable: (503, "model_unavailable"),
    e.ModelBusy: (503, "model_busy"),
    e.ModelAccessDenied: (502, "model_denied"),
    e.ModelTimeout: (504, "model_timeout"),
    e.ModelMalformed: (502, "model_malformed"),
    e.ModelRefused: (502, "model_refused"),
}
RETRY_AFTER_SECONDS = "1"
_REALM = 'Bearer realm="customer-segmentation"'
_NOWHERE = "There is nothing at this address"


def register(app: Flask) -> None:
    """Make every error of the application a problem."""
    for kind in STATUSES:
        app.register_error_handler(kind, _known)
    app.register_error_handler(e.RegistryRefusal, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _known(error: Exception) -> Response:
    status, code = STATUSES[type(error)]
    if status >= 500:
        log.warning("%s: %s", code, error, exc_info=error.__cause__ if status == 500 else None)
    answer = _answer(status, code, str(error), getattr(error, "errors", ()), getattr(error, "earliest", None))
    if isinstance(error, e.Unauthenticated | e.ScopeMissing):
        answer.headers["WWW-Authenticate"] = _challenge(error)
    if isinstance(error, e.RateLimited):
        answer.headers["Retry-After"] = str(error.standing.reset)
    if isinstance(error, e.RequestInProgress):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _challenge(error: e.Unauthenticated | e.ScopeMissing) -> str:
    """Return what RFC 6750 section 3 lets a client read off; where nothing was shown, it names no error."""
    if isinstance(error, e.ScopeMissing):
        return f'{_REALM}, error="insufficient_scope", scope="{error.scope}"'
    return f'{_REALM}, error="invalid_token"' if error.given else _REALM


def _refused(error: e.RegistryRefusal) -> Response:
    """Pass on what only the model service can judge: the one error that brings its status along."""
    return _answer(error.status, error.code, str(error), error.errors)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    answer = _answer(status, code_of(status), _detail(error))
    for name, value in error.get_headers():
        if name != "Content-Type":
            answer.headers[name] = value
    return answer


def _detail(error: HTTPException) -> str:
    if error.code != 404:
        return error.description or ""
    # A slash in the id makes another address of it, also when it is written as %2F.
    return f"{_NOWHERE}; a CUST_ID {CUST_ID_RULE}." if "/customers/" in request.path else f"{_NOWHERE}."


def _unexpected(error: Exception) -> Response:
    log.error("the request failed unexpectedly", exc_info=error)
    return _answer(500, code_of(500), "An internal error; the log has the details under this request id.")


def _answer(
    status: int, code: str, detail: str, errors: Sequence[FieldError] = (), earliest: str | None = None
) -> Response:
    if pages.is_wanted():
        return pages.error_page(status, code, detail, errors, g.get("request_id", ""))
    body = problem(status, code, detail, g.get("request_id", ""), errors)
    if earliest is not None:
        body["earliest"] = earliest
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else None
    return Response(orjson.dumps(body), status, headers, mimetype=MEDIA_TYPE)
