"""The customers resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from gateway.controllers.exchange import JSON, MERGE_PATCH, accepted_revisions, answer, load, read_json
from gateway.schemas.customers import customer_schema, patch_schema
from gateway.schemas.paging import cursor_after, load_page_request
from gateway.services.customers import CustomerService, Written
from gateway.services.errors import InvalidInput
from gateway.services.ports import Customer
from shared.features import CUST_ID, cust_id_fault
from shared.problems import FieldError

_new = customer_schema()
_whole = customer_schema(id_required=False)
_patch = patch_schema()


class CustomerController:
    """Create, read, list, replace, change and delete customers."""

    def __init__(self, customers: CustomerService) -> None:
        self._customers = customers

    def create(self) -> Response:
        """POST /customers."""
        sent = load(_new, read_json())
        written = self._customers.create(sent.pop(CUST_ID), sent)
        return _written(written, location=f"{request.path}/{written.customer[CUST_ID]}")

    def list(self) -> Response:
        """GET /customers."""
        asked = load_page_request(request.args)
        page = self._customers.page(asked.after, asked.limit)
        cursor = cursor_after(page.items[-1][CUST_ID]) if page.more else None
        link = {"Link": f'<{request.path}?{urlencode({"limit": asked.limit, "cursor": cursor})}>; rel="next"'}
        return answer({"items": page.items, "next_cursor": cursor}, headers=link if cursor else None)

    def get(self, cust_id: str) -> Response:
        """GET /customers/{CUST_ID}."""
        customer = self._customers.get(checked_id(cust_id))
        if request.if_none_match.contains_weak(customer["revision"]):
            return Response(status=304, headers=_etag(customer))
        return answer(customer, headers=_etag(customer))

    def replace(self, cust_id: str) -> Response:
        """PUT /customers/{CUST_ID}."""
        sent = _without_id(cust_id, load(_whole, read_json()))
        only_new = request.if_none_match.star_tag
        written = self._customers.replace(cust_id, sent, accepted_revisions(), only_new=only_new)
        return _written(written, location=request.path)

    def patch(self, cust_id: str) -> Response:
        """PATCH /customers/{CUST_ID}."""
        changes = _without_id(cust_id, load(_patch, read_json(MERGE_PATCH, JSON)))
        return _written(self._customers.patch(cust_id, changes, accepted_revisions()))

    def delete(self, cust_id: str) -> Response:
        """DELETE /customers/{CUST_ID}."""
        self._customers.delete(checked_id(cust_id), accepted_revisions())
        return Response(status=204)


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


def _written(written: Written, location: str = "") -> Response:
    headers = dict(_etag(written.customer))
    if written.created:
        headers["Location"] = location
    body = {**written.customer, "warnings": written.warnings}
    return answer(body, 201 if written.created else 200, headers)
