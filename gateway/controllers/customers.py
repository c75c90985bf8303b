"""The customers resource."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from flask import Response, g, request
from werkzeug.exceptions import RequestURITooLarge

from gateway.controllers.http import (
    JSON,
    MERGE_PATCH,
    first_tried_at,
    json_response,
    load,
    no_content,
    precondition,
    query,
    read_json,
)
from gateway.controllers.pages import page_by_id, page_response, query_without_cursor
from gateway.schemas.customer_queries import bulk_delete_request, list_request, past_members_request
from gateway.schemas.customers import customer_schema, load_rows, patch_schema
from gateway.schemas.paging import Cursors, cursor_after
from gateway.schemas.queries import refused
from gateway.services.customers.batches import BatchService, RowResult
from gateway.services.customers.bulk_writes import RowStatus
from gateway.services.customers.customer import Customer
from gateway.services.customers.customers import CustomerService, Written
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.erasures import ErasureService
from gateway.services.customers.lists import CustomerLists
from gateway.services.customers.query import Condition, Filters
from gateway.services.customers.segment import CustomerSegmentService
from gateway.services.errors import (
    CustomerExists,
    DuplicateInBatch,
    InvalidInput,
    RevisionRequired,
    SegmentationError,
    StaleRevision,
)
from gateway.services.events.as_of import AsOfService
from gateway.services.events.history import MAX_EXPLAINED, HistoryService
from shared.features import CUST_ID, cust_id_fault
from shared.problems import FieldError, Problem, problem

_new = customer_schema()
_whole = customer_schema(id_required=False)
_patch = patch_schema()


class CustomerController:
    """Create, read, replace, change and delete customers."""

    def __init__(self, customers: CustomerService, deletions: DeletionService, erasures: ErasureService) -> None:
        self._customers = customers
        self._deletions = deletions
        self._erasures = erasures

    def create(self) -> Response:
        """POST /customers."""
        sent = load(_new, read_json())
        written = self._customers.create(sent.pop(CUST_ID), sent, first_tried_at())
        return written_response(written, location=f"{request.path}/{written.customer[CUST_ID]}")

    def get(self, cust_id: str) -> Response:
        """GET /customers/{CUST_ID}."""
        customer = self._customers.get(checked_id(cust_id))
        if "HTTP_IF_MATCH" in request.environ:
            replace(precondition(), none_of=None).check(cust_id, customer)
        if "HTTP_IF_NONE_MATCH" in request.environ and request.if_none_match.contains_weak(customer["revision"]):
            return Response(status=304, headers=_etag(customer))
        return json_response(customer, headers=_etag(customer))

    def replace(self, cust_id: str) -> Response:
        """PUT /customers/{CUST_ID}."""
        sent = _without_id(cust_id, load(_whole, read_json()))
        return written_response(self._customers.replace(cust_id, sent, precondition()), location=request.path)

    def patch(self, cust_id: str) -> Response:
        """PATCH /customers/{CUST_ID}."""
        changes = _without_id(cust_id, load(_patch, read_json(MERGE_PATCH, JSON)))
        return written_response(self._customers.patch(cust_id, changes, precondition()))

    def delete(self, cust_id: str) -> Response:
        """DELETE /customers/{CUST_ID}; with ?erase=true for good, and everywhere."""
        if query()["erase"]:
            return json_response(self._erasures.erase(checked_id(cust_id), precondition()))
        self._deletions.delete(checked_id(cust_id), precondition())
        return no_content()


def checked_id(cust_id: str) -> str:
    """Return the CUST_ID of an address, if it can be one.

    Raises
    ------
    InvalidInput
    """
    if fault := cust_id_fault(cust_id):
        raise InvalidInput([FieldError(pointer=f"/{CUST_ID}", detail=f"the address's CUST_ID {fault}")])
    return cust_id


def _without_id(cust_id: str, sent: dict[str, Any]) -> dict[str, Any]:
    if sent.pop(CUST_ID, cust_id) != checked_id(cust_id):
        detail = f"must be the {cust_id!r} of the address: a customer's id never changes"
        raise InvalidInput([FieldError(pointer=f"/{CUST_ID}", detail=detail)])
    return sent


def _etag(customer: Customer) -> Mapping[str, str]:
    return {"ETag": f'"{customer["revision"]}"'}


def written_response(written: Written, location: str = "") -> Response:
    """Return the answer to a write; `location` is the address of a customer that it created."""
    headers = dict(_etag(written.customer))
    if written.created:
        headers["Location"] = location
    body = {**written.customer, "warnings": written.warnings}
    return json_response(body, 201 if written.created else 200, headers)


MAX_QUERY_LENGTH = 3_500
"""Longest query string of a list without its cursor, encoded: with one, the next page's address stays below 4,000."""


class CustomerListController:
    """Filtered and sorted lists of customers, a page at a time."""

    def __init__(self, lists: CustomerLists, as_of: AsOfService, cursors: Cursors) -> None:
        self._lists = lists
        self._as_of = as_of
        self._cursors = cursors

    def list(self, *conditions: Condition) -> Response:
        """GET /customers; with `conditions` beside those of the query string."""
        # Encoded anew, a byte becomes three at most.
        if 3 * len(request.query_string) > MAX_QUERY_LENGTH and len(query_without_cursor()) > MAX_QUERY_LENGTH:
            raise RequestURITooLarge(
                f"The query string, without its cursor, must not be longer than {MAX_QUERY_LENGTH} characters."
            )
        if "as_of" in query():
            return self._list_as_of(conditions)
        wanted = list_request(query(), self._cursors, conditions)
        page, total = self._lists.page(wanted.query, wanted.total)
        cursor = self._cursors.write(wanted.list_id, page.end) if page.end else None
        more = {"total": total.total, "total_kind": total.kind} if total else {}
        return page_response(page.items, cursor, more, first=True)

    def _list_as_of(self, conditions: Filters) -> Response:
        wanted = past_members_request(query(), self._cursors, conditions)
        page = self._as_of.members(wanted.segment, wanted.at, wanted.after, wanted.limit, wanted.fields)
        cursor = self._cursors.write(wanted.list_id, (page.end,)) if page.end else None
        return page_response(page.items, cursor, {"as_of": wanted.at, "features_as_of": "now"}, first=True)


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
        mode = query()["mode"]
        results = self._batches.write(load_rows(read_json(), mode), mode)
        counts = Counter(result.status for result in results)
        body = {"results": [_dumped(result) for result in results]}
        return json_response({**body, **{status: counts[status] for status in get_args(RowStatus)}})


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


class CustomerSegmentController:
    """Read a customer's segment, as it is or was, or have it scored anew."""

    def __init__(self, segments: CustomerSegmentService, as_of: AsOfService) -> None:
        self._segments = segments
        self._as_of = as_of

    def get(self, cust_id: str) -> Response:
        """GET /customers/{CUST_ID}/segment."""
        if (at := query().get("as_of")) is not None:
            if query()["explain"]:
                raise refused("explain", "cannot go with as_of: only what the active model says now can be explained")
            return json_response(self._as_of.segment(checked_id(cust_id), at))
        return json_response(self._segments.get(checked_id(cust_id), explain=query()["explain"]))

    def rescore(self, cust_id: str) -> Response:
        """POST /customers/{CUST_ID}/segment."""
        return json_response(self._segments.rescore(checked_id(cust_id), explain=query()["explain"]))


class CustomerHistoryController:
    """Read what has changed of a customer."""

    def __init__(self, history: HistoryService) -> None:
        self._history = history

    def list(self, cust_id: str) -> Response:
        """GET /customers/{CUST_ID}/history."""
        limit, explain = query()["limit"], query()["explain"]
        if explain and limit > MAX_EXPLAINED:
            raise refused("limit", f"must be at most {MAX_EXPLAINED} with explain=true")
        before = query().get("cursor")
        page, memory = self._history.page(checked_id(cust_id), before, limit, explain=explain)
        return page_response(page.items, cursor_after(page.end) if page.end else None, {"memory": memory})


class DeletionController:
    """Delete many customers, find out which can be restored, and restore them."""

    def __init__(self, deletions: DeletionService) -> None:
        self._deletions = deletions

    def delete(self) -> Response:
        """DELETE /customers."""
        wanted = bulk_delete_request(query())
        if wanted.confirmed is None:
            return json_response(self._deletions.count_matching(wanted.filters))
        return json_response(self._deletions.delete_matching(wanted.filters, wanted.confirmed))

    def list(self) -> Response:
        """GET /deleted-customers."""
        return page_by_id(self._deletions.page(query().get("cursor"), query()["limit"]))

    def get(self, cust_id: str) -> Response:
        """GET /deleted-customers/{CUST_ID}."""
        return json_response(self._deletions.get(checked_id(cust_id)))

    def restore(self, cust_id: str) -> Response:
        """POST /customers/{CUST_ID}/restore."""
        return written_response(self._deletions.restore(checked_id(cust_id), first_tried_at()))


class ErasureController:
    """Look up what was erased."""

    def __init__(self, erasures: ErasureService) -> None:
        self._erasures = erasures

    def list(self) -> Response:
        """GET /erasures?CUST_ID=…."""
        return json_response(self._erasures.of(query()[CUST_ID]))

    def get(self, erasure_id: str) -> Response:
        """GET /erasures/{id}."""
        return json_response(self._erasures.get(erasure_id))
