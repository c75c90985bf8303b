"""Customers that are no more: those that can be restored, and receipts of erasures."""

from __future__ import annotations

from gateway.openapi.components import page_of, reference
from gateway.openapi.headers import ETAG, LINK
from gateway.openapi.operation import Answer, Link, Operation, Resource
from gateway.openapi.problems import STORE
from gateway.openapi.schemas import CUST_ID_SCHEMA
from gateway.services.customers.erasures import ErasureReceipt, Erasures
from shared.features import CUST_ID

_DELETED = "/api/v1/deleted-customers"
_ID = {"cust_id": "$response.body#/CUST_ID"}

DELETIONS = Resource(
    "Deleted customers",
    "Customers that can still be restored, and receipts of those that were erased for good.",
    {
        f"GET {_DELETED}": Operation(
            "listDeletedCustomers",
            "List the customers that can be restored",
            "",
            {
                200: Answer(
                    "A page",
                    page_of("DeletedCustomer"),
                    headers=(LINK,),
                    links={
                        "next": Link("listDeletedCustomers", {"cursor": "$response.body#/next_cursor"}),
                        "restore": Link("restoreCustomer", {"cust_id": "$response.body#/items/0/CUST_ID"}),
                    },
                )
            },
            problems=STORE,
        ),
        f"GET {_DELETED}/{{cust_id}}": Operation(
            "getDeletedCustomer",
            "Read a customer as it was when it was deleted",
            "",
            {
                200: Answer(
                    "The customer", reference("DeletedCustomer"), links={"restore": Link("restoreCustomer", _ID)}
                )
            },
            problems=("customer_not_deleted", *STORE),
        ),
        "POST /api/v1/customers/{cust_id}/restore": Operation(
            "restoreCustomer",
            "Bring a deleted customer back",
            "As it was, as a new revision.",
            {
                200: Answer(
                    "The customer, which is back",
                    reference("WrittenCustomer"),
                    headers=(ETAG,),
                    links={"read": Link("getCustomer", _ID)},
                )
            },
            problems=("customer_not_deleted", "customer_exists", "contended", *STORE),
        ),
        "GET /api/v1/erasures": Operation(
            "listErasures",
            "Say whether and when a customer was erased",
            "Receipts do not name the customer; asked with an id, this finds those that were made for it.",
            {
                200: Answer(
                    "The receipts, newest first",
                    Erasures,
                    links={"read": Link("getErasure", {"erasure_id": "$response.body#/items/0/id"})},
                )
            },
            problems=STORE,
            query={CUST_ID: {"description": "Whose", "schema": CUST_ID_SCHEMA, "required": True}},
        ),
        "GET /api/v1/erasures/{erasure_id}": Operation(
            "getErasure",
            "Read the receipt of an erasure",
            "",
            {200: Answer("The receipt", ErasureReceipt)},
            problems=("erasure_not_found", *STORE),
        ),
    },
)
