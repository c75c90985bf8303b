"""Customers: the stored ones with their segments, and those that are deleted or erased."""

from __future__ import annotations

from gateway.controllers.customers import (
    BatchController,
    CustomerController,
    CustomerHistoryController,
    CustomerListController,
    CustomerSegmentController,
    DeletionController,
    ErasureController,
)
from gateway.controllers.http import JSON, MERGE_PATCH
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import MODEL, STORE, UNCHANGED, Answer, Body, Link, Operation, PageOf, page
from gateway.schemas.customer_queries import BULK_DELETE, CONDITIONS_RULE, LIST
from gateway.schemas.customers import IF_REVISION
from gateway.schemas.paging import PAGE, POSITION_CURSOR
from gateway.schemas.queries import AS_OF, ERASE, EXPLAIN, EXPLAIN_MOVES, HISTORY_LIMIT, MODE, WHOSE
from gateway.services.customers.deletions import BulkDeletion
from gateway.services.customers.erasures import ErasureReceipt, Erasures
from gateway.services.customers.segment import CustomerSegment
from gateway.services.events.as_of import CustomerSegmentThen
from gateway.services.events.history import History
from gateway.services.principal import Scope

_READ, _WRITE = Scope.CUSTOMERS_READ, Scope.CUSTOMERS_WRITE

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
_PRECONDITIONS = ("If-Match", "If-None-Match")
_CREATED = Answer("Created, together with its segment", "WrittenCustomer", headers=("ETag", "Location"), links=_NEXT)
_CHANGED = Answer("The customer as it is now", "WrittenCustomer", headers=("ETag",), links=_NEXT)


_CREATE_CUSTOMER = Operation(
    "createCustomer",
    "Create a customer",
    "The segment is asked for within a short deadline and stored along. While the model service is "
    "unavailable the customer is stored all the same, with `segment: null` and `segment_status: "
    "pending`.",
    {201: _CREATED},
    Body("NewCustomer"),
    ("customer_exists", *STORE),
)
_LIST_CUSTOMERS = Operation(
    "listCustomers",
    "List customers, page by page",
    f"Filtered, sorted and cut to the members wanted. {CONDITIONS_RULE} Pages follow a cursor, and "
    "neither skip nor repeat a customer while others are written; a cursor holds for the conditions "
    "and the order it came with. On large bases, what has no index (`TENURE`, `sort=created_at` and so on) is taken "
    "only beside a condition that leaves few customers: otherwise 422 `query_not_indexed` says what is offered.\n\n"
    "With `as_of` and `segment=ID` alone: who was in the segment then, by the change log, in CUST_ID order. "
    "`features_as_of: now` says that every member of these customers is as it is now; those that were deleted "
    "since have their id alone, and erased ones are left out.",
    page(
        "listCustomers",
        PageOf("ListedCustomer", counted=True, past=True),
        read=Link("getCustomer", {"cust_id": "$response.body#/items/0/CUST_ID"}),
    ),
    problems=("uri_too_long", "query_not_indexed", "query_timeout", "as_of_expired", *STORE),
)
_WRITE_CUSTOMERS = Operation(
    "writeCustomers",
    "Create or update up to a thousand customers",
    f"Bad rows never stop good ones. A row may carry `{IF_REVISION}`, as If-Match does for one "
    "customer. The same batch again finishes one that broke off.",
    {200: Answer("A result for each row, in order, and how many there are of each kind", "BatchResult")},
    Body("CustomerBatch"),
    ("contended", *STORE),
)
_GET_CUSTOMER = Operation(
    "getCustomer",
    "Get a customer",
    "",
    {200: Answer("The customer", "Customer", headers=("ETag",), links=_NEXT), 304: UNCHANGED},
    problems=("customer_not_found", "revision_mismatch", *STORE),
    headers=_PRECONDITIONS,
)
_REPLACE_CUSTOMER = Operation(
    "replaceCustomer",
    "Create or replace a customer",
    "With `If-Match`, only the revision it names is replaced; with `If-None-Match: *`, it is only created.",
    {200: _CHANGED, 201: _CREATED},
    Body("CustomerFeatures"),
    (*_CONDITIONS, *STORE),
    _PRECONDITIONS,
)
_PATCH_CUSTOMER = Operation(
    "patchCustomer",
    "Change features of a customer",
    "A JSON merge patch (RFC 7396): what is absent stays, null clears what may be null.",
    {200: _CHANGED},
    Body("CustomerPatch", media_types=(MERGE_PATCH, JSON)),
    ("customer_not_found", *_CONDITIONS, *STORE),
    _PRECONDITIONS,
)
_DELETE_CUSTOMER = Operation(
    "deleteCustomer",
    "Delete a customer, or erase it for good",
    "A deleted customer can be restored for some time. With `erase=true` it is removed for good "
    "wherever anything is kept about it, and the receipt says from where; an id that nothing is "
    "known of is no error.",
    {
        200: Answer(
            "The receipt of the erasure",
            ErasureReceipt,
            links={"read": Link("getErasure", {"erasure_id": "$response.body#/id"})},
        ),
        204: Answer(
            "Deleted",
            links={"restore": Link("restoreCustomer", {"cust_id": "$request.path.cust_id"})},
        ),
    },
    problems=("customer_not_found", *_CONDITIONS, *STORE),
    headers=_PRECONDITIONS,
)
_DELETE_CUSTOMERS = Operation(
    "deleteCustomers",
    "Delete all customers that match",
    f"{CONDITIONS_RULE} Without any, `all=true` says that every customer is meant. First `dry_run=true` "
    "counts; the count in `confirm` then deletes them, and 409 has the true one where it has changed. Each "
    "can be restored as if it were deleted alone. Where the time is up before the end, some are `remaining`: "
    "confirm those to go on.",
    {200: Answer("How many matched, were deleted, and match still", BulkDeletion)},
    problems=("count_mismatch", "query_timeout", "analysis_busy", *STORE),
)
_GET_CUSTOMER_SEGMENT = Operation(
    "getCustomerSegment",
    "Get the segment of a customer",
    "What is stored, with the names of the segments. With `explain=true` the active model says why: "
    "`explained` says which prediction the explanation is about, for it need not be the stored one.\n\n"
    "With `as_of`: the segment that the customer had then, by the change log, also of one that has been deleted "
    "since. `confidence`, `borderline`, `rival` and `assigned_at` are null where it was scored anew since; "
    "`model_version` is then the version that was active at that time, which in the first moments after an "
    "activation is not yet that of every customer.",
    {200: Answer("The stored segment", CustomerSegment | CustomerSegmentThen)},
    problems=("customer_not_found", "as_of_expired", "query_timeout", "model_refused", *MODEL, *STORE),
)
_LIST_HISTORY = Operation(
    "listCustomerHistory",
    "List what has changed of a customer",
    "Newest first: every change with who made it, the features that changed with their values before and after "
    "(as long as these are kept), and the segments that the customer left and went to, with the cause. `memory` "
    "says how far back that goes, and what the audit trail alone has. A deleted customer has a history, too; "
    "an erased one has none.\n\n"
    "With `explain=true`, a move to another segment that the customer's data caused has a `why`: the exact "
    "split of what moved it over the features that changed, in words and numbers; or `why_unavailable`.",
    {
        200: Answer(
            "A page",
            History,
            headers=("Link",),
            links={"next": Link("listCustomerHistory", {"cursor": "$response.body#/next_cursor"})},
        )
    },
    problems=("customer_not_found", *STORE),
)
_RESCORE_CUSTOMER = Operation(
    "rescoreCustomer",
    "Re-score a customer now",
    "The worker re-scores all customers by itself after an activation.",
    {200: Answer("The new segment, which is stored", CustomerSegment)},
    problems=("customer_not_found", "contended", "model_refused", *MODEL, *STORE),
)
_LIST_DELETED_CUSTOMERS = Operation(
    "listDeletedCustomers",
    "List the deleted customers that can be restored",
    "",
    page(
        "listDeletedCustomers",
        PageOf("DeletedCustomer"),
        restore=Link("restoreCustomer", {"cust_id": "$response.body#/items/0/CUST_ID"}),
    ),
    problems=STORE,
)
_GET_DELETED_CUSTOMER = Operation(
    "getDeletedCustomer",
    "Get a deleted customer as it was",
    "",
    {
        200: Answer(
            "The customer",
            "DeletedCustomer",
            links={"restore": Link("restoreCustomer", {"cust_id": _ID})},
        )
    },
    problems=("customer_not_deleted", *STORE),
)
_RESTORE_CUSTOMER = Operation(
    "restoreCustomer",
    "Restore a deleted customer",
    "With the features it had, as a new revision.",
    {
        200: Answer(
            "The restored customer",
            "WrittenCustomer",
            headers=("ETag",),
            links={"read": _NEXT["read"]},
        )
    },
    problems=("customer_not_deleted", "customer_exists", "contended", *STORE),
)
_LIST_ERASURES = Operation(
    "listErasures",
    "Find the erasures of a customer",
    "Receipts do not name the customer; given a CUST_ID, this finds those that were issued for it.",
    {
        200: Answer(
            "The receipts, newest first",
            Erasures,
            links={"read": Link("getErasure", {"erasure_id": "$response.body#/items/0/id"})},
        )
    },
    problems=STORE,
)
_GET_ERASURE = Operation(
    "getErasure",
    "Get the receipt of an erasure",
    "",
    {200: Answer("The receipt", ErasureReceipt)},
    problems=("erasure_not_found", *STORE),
)


def customers(controller: CustomerController, lists: CustomerListController, batches: BatchController) -> Resource:
    """Return the routes that read and write customers."""
    return Resource(
        "Customers",
        "Card holders with their features and the segment each is in.",
        (
            Route("POST", "/customers", controller.create, _WRITE, _CREATE_CUSTOMER),
            Route("GET", "/customers", lists.list, _READ, _LIST_CUSTOMERS, LIST, Work.MANY),
            Route("POST", "/customers/batch", batches.write, _WRITE, _WRITE_CUSTOMERS, (MODE,), Work.MANY),
            Route("GET", "/customers/<cust_id>", controller.get, _READ, _GET_CUSTOMER),
            Route("PUT", "/customers/<cust_id>", controller.replace, _WRITE, _REPLACE_CUSTOMER),
            Route("PATCH", "/customers/<cust_id>", controller.patch, _WRITE, _PATCH_CUSTOMER),
            Route("DELETE", "/customers/<cust_id>", controller.delete, _WRITE, _DELETE_CUSTOMER, (ERASE,)),
        ),
    )


def segments_of_customers(segments: CustomerSegmentController, history: CustomerHistoryController) -> Resource:
    """Return the routes to the segment of one customer, and to how it came about."""
    return Resource(
        "Customer segments",
        "The segment a customer is or was in, how sure that is, why, and how it came about.",
        (
            Route("GET", "/customers/<cust_id>/segment", segments.get, _READ, _GET_CUSTOMER_SEGMENT, (EXPLAIN, AS_OF)),
            Route(
                "POST",
                "/customers/<cust_id>/segment",
                segments.rescore,
                _WRITE,
                _RESCORE_CUSTOMER,
                (EXPLAIN,),
                Work.BOTH,
            ),
            Route(
                "GET",
                "/customers/<cust_id>/history",
                history.list,
                _READ,
                _LIST_HISTORY,
                (HISTORY_LIMIT, POSITION_CURSOR, EXPLAIN_MOVES),
                Work.BOTH,
            ),
        ),
    )


def deletions(controller: DeletionController, erasures: ErasureController) -> Resource:
    """Return the routes to deleted and erased customers."""
    return Resource(
        "Deleted customers",
        "Customers that can still be restored, and receipts for those that were erased.",
        (
            Route("DELETE", "/customers", controller.delete, _WRITE, _DELETE_CUSTOMERS, BULK_DELETE, Work.BULK),
            Route("GET", "/deleted-customers", controller.list, _READ, _LIST_DELETED_CUSTOMERS, PAGE, Work.MANY),
            Route("GET", "/deleted-customers/<cust_id>", controller.get, _READ, _GET_DELETED_CUSTOMER),
            Route("POST", "/customers/<cust_id>/restore", controller.restore, _WRITE, _RESTORE_CUSTOMER),
            Route("GET", "/erasures", erasures.list, _READ, _LIST_ERASURES, (WHOSE,), Work.MANY),
            Route("GET", "/erasures/<name:erasure_id>", erasures.get, _READ, _GET_ERASURE),
        ),
    )
