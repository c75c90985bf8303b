"""The kinds of customer that the active model knows."""

from __future__ import annotations

from gateway.controllers.http import JSON, MERGE_PATCH
from gateway.controllers.segments import SegmentController
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import MODEL, STORE, Answer, Body, Link, Operation
from gateway.schemas.queries import AS_OF
from gateway.services.events.as_of import SegmentsThen
from gateway.services.models.segments import SegmentInFull, SegmentList
from gateway.services.principal import Scope

_SIZES = ("segments_being_counted", *STORE)
_DESCRIPTION_PROBLEMS = ("labels_damaged", "artefact_damaged", "version_not_found")


_LIST_SEGMENTS = Operation(
    "listSegments",
    "List the segments of the active model",
    "Sizes and shares are those of the stored customers at `as_of`, beside those of the training data. Up to about "
    "a hundred thousand customers that is now. More are counted in the background, for at most a twentieth of the "
    "time: a million, about every quarter of a minute. Sizes are at most five minutes old (or twice as old as they "
    "are kept, if counting takes that long).\n\n"
    "`pending` customers have no segment yet, `outdated` ones a segment by another version than `model_version`: the "
    "worker scores both. `retired` ones are in a segment that this version does not have.\n\n"
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
_GET_SEGMENT = Operation(
    "getSegment",
    "Get a segment in full",
    "With the rules that describe it and typical and borderline members of the training data.",
    {200: Answer("The segment", SegmentInFull)},
    problems=("segment_not_found", *_DESCRIPTION_PROBLEMS, *MODEL, *_SIZES),
)
_LABEL_SEGMENT = Operation(
    "labelSegment",
    "Change the name, description or owner of a segment",
    "A JSON merge patch; `null` clears a member, and the segment then goes by its `derived_name` again. These "
    "labels stay with the segment's id across retrainings.",
    {200: Answer("The updated segment", SegmentInFull)},
    Body("SegmentLabel", media_types=(MERGE_PATCH, JSON), required=False),
    ("segment_not_found", "name_taken", "store_not_writable", *_DESCRIPTION_PROBLEMS, *MODEL, *_SIZES),
)


def segments(controller: SegmentController) -> Resource:
    """Return the routes to the active model's segments."""
    return Resource(
        "Segments",
        "The kinds of customer that the active model knows: size, profile, actions, and what people call them.",
        (
            Route("GET", "/segments", controller.list, Scope.MODELS_READ, _LIST_SEGMENTS, (AS_OF,), Work.MODEL),
            Route("GET", "/segments/<segment_id>", controller.get, Scope.MODELS_READ, _GET_SEGMENT, work=Work.MODEL),
            Route(
                "PATCH",
                "/segments/<segment_id>",
                controller.label,
                Scope.MODELS_MANAGE,
                _LABEL_SEGMENT,
                work=Work.BOTH,
            ),
        ),
    )
