"""Customers: create, read, list, replace, change, delete."""

from __future__ import annotations

from typing import get_args

from gateway.controllers.http import JSON, MERGE_PATCH
from gateway.openapi.components import TOTALS, page_of, reference
from gateway.openapi.headers import ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION
from gateway.openapi.operation import Answer, Body, Link, Named, Operation, Resource
from gateway.openapi.parameters import CONDITIONS
from gateway.openapi.problems import STORE
from gateway.schemas.customers import IF_REVISION
from gateway.services.customers.bulk_writes import RowStatus
from gateway.services.customers.erasures import ErasureReceipt

_CUSTOMER = "/api/v1/customers/{cust_id}"
_ID, _TAG = "$response.body#/CUST_ID", "$response.header.ETag"
_NEXT = {
    "read": Link("getCustomer", {"cust_id": _ID}),
    "change": Link("patchCustomer", {"cust_id": _ID, "header.If-Match": _TAG}),
    "replace": Link("replaceCustomer", {"cust_id": _ID, "header.If-Match": _TAG}),
    "delete": Link("deleteCustomer", {"cust_id": _ID, "header.If-Match": _TAG}),
    "segment": Link("getCustomerSegment", {"cust_id": _ID}),
    "rescore": Link("rescoreCustomer", {"cust_id": _ID}),
}
_CONDITIONS = ("customer_not_new", "revision_mismatch", "precondition_required", "contended")
_WRITTEN = reference("WrittenCustomer")
_CREATED = Answer("Created, together with its segment", _WRITTEN, headers=(ETAG, LOCATION), links=_NEXT)
_CHANGED = Answer("The customer as it is now", _WRITTEN, headers=(ETAG,), links=_NEXT)
_UNCHANGED = Answer("The copy at hand is still the right one", headers=(ETAG,))
_RESULTS = Named(
    "BatchResult",
    {
        "type": "object",
        "required": ["results", *get_args(RowStatus)],
        "properties": {
            "results": {"type": "array", "items": reference("RowResult")},
            **{name: {"type": "integer"} for name in get_args(RowStatus)},
        },
    },
)

CUSTOMERS = Resource(
    "Customers",
    "Card holders with their features and the segment each is in.",
    {
        "POST /api/v1/customers": Operation(
            "createCustomer",
            "Create a customer",
            "The segment is asked for within a short deadline and stored along. While the model service is away the "
            "customer is stored all the same, with `segment: null` and `segment_status: pending`.",
            {201: _CREATED},
            Body(reference("NewCustomer")),
            ("customer_exists", *STORE),
        ),
        "GET /api/v1/customers": Operation(
            "listCustomers",
            "List customers, page by page",
            f"Filtered, sorted and cut to what is asked for. {CONDITIONS} Pages follow a cursor, and neither skip nor "
            "repeat a customer while others are written; a cursor holds for the conditions and the order it came with.",
            {
                200: Answer(
                    "A page",
                    page_of("ListedCustomer", TOTALS),
                    headers=(LINK,),
                    links={
                        "next": Link("listCustomers", {"cursor": "$response.body#/next_cursor"}),
                        "read": Link("getCustomer", {"cust_id": "$response.body#/items/0/CUST_ID"}),
                    },
                )
            },
            problems=("uri_too_long", *STORE),
        ),
        "POST /api/v1/customers/batch": Operation(
            "writeCustomers",
            "Create or change up to a thousand customers, with a verdict for each",
            f"Bad rows never stop good ones. A row may carry `{IF_REVISION}`, as If-Match does for one customer. "
            "The same batch again finishes one that broke off.",
            {200: Answer("A verdict for each row, in order, and how many there are of each kind", _RESULTS)},
            Body(reference("CustomerBatch")),
            ("contended", *STORE),
        ),
        f"GET {_CUSTOMER}": Operation(
            "getCustomer",
            "Read a customer",
            "",
            {
                200: Answer("The customer", reference("Customer"), headers=(ETAG,), links=_NEXT),
                304: _UNCHANGED,
            },
            problems=("customer_not_found", "revision_mismatch", *STORE),
            headers=(IF_MATCH, IF_NONE_MATCH),
        ),
        f"PUT {_CUSTOMER}": Operation(
            "replaceCustomer",
            "Create a customer under this id, or replace all its features",
            "With `If-Match`, only the revision it names is replaced; with `If-None-Match: *`, it is only created.",
            {200: _CHANGED, 201: _CREATED},
            Body(reference("CustomerFeatures")),
            (*_CONDITIONS, *STORE),
            (IF_MATCH, IF_NONE_MATCH),
        ),
        f"PATCH {_CUSTOMER}": Operation(
            "patchCustomer",
            "Change some features of a customer",
            "A JSON merge patch (RFC 7396): what is absent stays, null clears what may be null.",
            {200: _CHANGED},
            Body(reference("CustomerPatch"), media_types=(MERGE_PATCH, JSON)),
            ("customer_not_found", *_CONDITIONS, *STORE),
            (IF_MATCH, IF_NONE_MATCH),
        ),
        f"DELETE {_CUSTOMER}": Operation(
            "deleteCustomer",
            "Delete a customer, or erase it for good",
            "A deleted customer can be restored for some time. With `erase=true` it is removed for good wherever "
            "anything is kept about it, and the receipt tells from where; an id that nothing is known of is no error.",
            {
                200: Answer(
                    "The receipt of the erasure",
                    ErasureReceipt,
                    links={"read": Link("getErasure", {"erasure_id": "$response.body#/id"})},
                ),
                204: Answer(
                    "Deleted", links={"restore": Link("restoreCustomer", {"cust_id": "$request.path.cust_id"})}
                ),
            },
            problems=("customer_not_found", *_CONDITIONS, *STORE),
            headers=(IF_MATCH, IF_NONE_MATCH),
        ),
    },
)
