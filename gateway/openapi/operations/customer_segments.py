"""The segment of one stored customer."""

from __future__ import annotations

from gateway.openapi.operation import Answer, Operation, Resource
from gateway.openapi.problems import MODEL, STORE
from gateway.services.customers.segment import CustomerSegment

_ADDRESS = "/api/v1/customers/{cust_id}/segment"

CUSTOMER_SEGMENTS = Resource(
    "Customer segments",
    "The segment a customer is in, how sure that is, and why.",
    {
        f"GET {_ADDRESS}": Operation(
            "getCustomerSegment",
            "Read the segment of a customer",
            "What is stored, with the names of the segments. With `explain=true` the active model is asked why: "
            "`explained` says which prediction the explanation is about, for it need not be the stored one.",
            {200: Answer("The stored segment", CustomerSegment)},
            problems=("customer_not_found", "model_refused", *MODEL, *STORE),
        ),
        f"POST {_ADDRESS}": Operation(
            "rescoreCustomer",
            "Score a customer anew, now",
            "The worker does so by itself after a new model is activated.",
            {200: Answer("The new segment, which is stored", CustomerSegment)},
            problems=("customer_not_found", "contended", "model_refused", *MODEL, *STORE),
        ),
    },
)
