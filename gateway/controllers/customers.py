"""The customers resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from gateway.controllers.exchange import JSON, MERGE_PATCH, answer, expected, first_tried_at, load, query, read_json
from gateway.schemas.customers import customer_schema, patch_schema
from gateway.schemas.queries import load_erase
from gateway.services.customer import Customer
from gateway.services.customers import CustomerService, Written
from gateway.services.deletions import DeletionService
from gateway.services.erasures import ErasureService
from gateway.services.errors import InvalidInput
from gateway.services.preconditions import Precondition
from shared.features import CUST_ID, cust_id_fault
from shared.problems import FieldError

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
        return written_answer(written, location=f"{request.path}/{written.customer[CUST_ID]}")

    def get(self, cust_id: str) -> Response:
        """GET /customers/{CUST_ID}."""
        customer = self._customers.get(checked_id(cust_id))
        if "If-Match" in request.headers:
            Precondition(any_of=expected().any_of).check(cust_id, customer)
        if request.if_none_match.contains_weak(customer["revision"]):
            return Response(status=304, headers=_etag(customer))
        return answer(customer, headers=_etag(customer))

    def replace(self, cust_id: str) -> Response:
        """PUT /customers/{CUST_ID}."""
        sent = _without_id(cust_id, load(_whole, read_json()))
        return written_answer(self._customers.replace(cust_id, sent, expected()), location=request.path)

    def patch(self, cust_id: str) -> Response:
        """PATCH /customers/{CUST_ID}."""
        changes = _without_id(cust_id, load(_patch, read_json(MERGE_PATCH, JSON)))
        return written_answer(self._customers.patch(cust_id, changes, expected()))

    def delete(self, cust_id: str) -> Response:
        """DELETE /customers/{CUST_ID}; with ?erase=true for good, and everywhere."""
        if load_erase(query()):
            return answer(self._erasures.erase(checked_id(cust_id), expected()))
        self._deletions.delete(checked_id(cust_id), expected())
        done = Response(status=204)
        del done.headers["Content-Type"]  # of nothing
        return done


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


def written_answer(written: Written, location: str = "") -> Response:
    """Return the answer to a write; `location` is the address of a customer that it created."""
    headers = dict(_etag(written.customer))
    if written.created:
        headers["Location"] = location
    body = {**written.customer, "warnings": written.warnings}
    return answer(body, 201 if written.created else 200, headers)
