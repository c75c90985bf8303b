"""The kinds of customer that the active model knows."""

from __future__ import annotations

from gateway.controllers.http import JSON, MERGE_PATCH
from gateway.controllers.segments import SegmentController
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import MODEL, STORE, Answer, Body, Link, Operation, PageOf, page
from gateway.schemas.customer_queries import CONDITIONS_RULE, MEMBERS_LIST
from gateway.schemas.paging import PAGE
from gateway.schemas.queries import AS_OF, PERIOD, SIZES
from gateway.services.events.as_of import SegmentsThen
from gateway.services.models.segment_snapshots import SizesPoint
from gateway.services.models.segments import SegmentInFull, SegmentList
from gateway.services.models.transitions import Transitions
from gateway.services.principal import Scope

_SIZES = ("segments_being_counted", *STORE)
_DESCRIPTION_PROBLEMS = ("labels_damaged", "artefact_damaged", "signature_refused", "version_not_found")


_LIST_SEGMENTS = Operation(
    "listSegments",
    "List the segments of the active model",
    "Sizes, shares and money are those of the stored customers at `as_of`, beside those of the training data. The "
    "worker counts them whenever something has changed, for at most a twentieth of the time: up to about ten thousand "
    "customers within a second or two, a million about every minute. No request waits for it. `state` says whether "
    "anything has changed since.\n\n"
    "`pending` customers have no segment yet, `outdated` ones a segment by another version than `model_version`: the "
    "worker scores both. `retired` ones are in a segment that this version does not have. While the model service is "
    "away, the segments are those of `described_at`.\n\n"
    "With `as_of`: who was in each segment then, by the change log, those who were erased since included; `assigned` "
    "is how many had a segment, `model_version` the version that was active.",
    {
        200: Answer(
            "All segments",
            SegmentList | SegmentsThen,
            links={"read": Link("getSegment", {"segment_id": "$response.body#/items/0/id"})},
        )
    },
    problems=("as_of_expired", "query_timeout", *MODEL, *_SIZES),
)
_LIST_SIZES = Operation(
    "listSegmentSizes",
    "List the sizes of the segments over time",
    "Oldest first: the size, share and money of every segment that anybody was in. There is a point only where "
    "something has changed; what it says holds until the next one.",
    page("listSegmentSizes", PageOf(SizesPoint)),
    problems=STORE,
)
_GET_TRANSITIONS = Operation(
    "getSegmentTransitions",
    "Get who moved between segments from one time to another",
    "A matrix of net moves: whoever went and came back has not moved. Each cell has the causes, and the sums and means "
    "of those customers who are stored now, as they are now. Both times include the changes of that very moment, as "
    "`as_of` does.",
    {200: Answer("All moves, the most frequent first", Transitions)},
    problems=("as_of_expired", "period_too_long", "analysis_busy", *STORE),
)
_GET_SEGMENT = Operation(
    "getSegment",
    "Get a segment in full",
    "With the rules that describe it and typical and borderline members of the training data.",
    {200: Answer("The segment", SegmentInFull)},
    problems=("segment_not_found", *_DESCRIPTION_PROBLEMS, *MODEL, *_SIZES),
)
_LIST_MEMBERS = Operation(
    "listSegmentCustomers",
    "List the customers of a segment, page by page",
    f"The same as the list of customers with `segment=`, and takes the same other parameters. {CONDITIONS_RULE}",
    page(
        "listSegmentCustomers",
        PageOf("ListedCustomer", counted=True, past=True),
        read=Link("getCustomer", {"cust_id": "$response.body#/items/0/CUST_ID"}),
    ),
    problems=("uri_too_long", "query_not_indexed", "query_timeout", "as_of_expired", *STORE),
)
_LABEL_SEGMENT = Operation(
    "labelSegment",
    "Change the name, description, owner or actions of a segment",
    "A JSON merge patch; `null` clears a member, and the segment then goes by its `derived_name` and has its "
    "`derived_actions` again. These labels stay with the segment's id across retrainings. With `if_labelled_at`, "
    "the `labelled_at` that the caller has read, nobody's change of meanwhile is overwritten.",
    {200: Answer("The updated segment", SegmentInFull)},
    Body("SegmentLabel", media_types=(MERGE_PATCH, JSON), required=False),
    ("segment_not_found", "name_taken", "label_changed", "store_not_writable", *_DESCRIPTION_PROBLEMS, *MODEL, *_SIZES),
)

_READ = Scope.MODELS_READ


def segments(controller: SegmentController) -> Resource:
    """Return the routes to the active model's segments."""
    one = "/segments/<segment:segment_id>"
    return Resource(
        "Segments",
        "The kinds of customer that the active model knows: size, profile, actions, and what people call them.",
        (
            Route("GET", "/segments", controller.list, _READ, _LIST_SEGMENTS, (AS_OF,), Work.BOTH),
            Route("GET", "/segments/sizes", controller.sizes, _READ, _LIST_SIZES, (*SIZES, *PAGE), Work.MANY),
            Route("GET", "/segments/transitions", controller.transitions, _READ, _GET_TRANSITIONS, PERIOD, Work.LONG),
            Route("GET", one, controller.get, _READ, _GET_SEGMENT, work=Work.BOTH),
            Route(
                "GET",
                f"{one}/customers",
                controller.customers,
                Scope.CUSTOMERS_READ,
                _LIST_MEMBERS,
                MEMBERS_LIST,
                Work.MANY,
            ),
            Route("PATCH", one, controller.label, Scope.MODELS_MANAGE, _LABEL_SEGMENT, work=Work.BOTH),
        ),
    )
