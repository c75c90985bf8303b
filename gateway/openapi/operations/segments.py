"""The kinds of customer that the active model knows."""

from __future__ import annotations

from gateway.controllers.http import JSON, MERGE_PATCH
from gateway.openapi.operation import Answer, Body, Link, Operation, Resource
from gateway.openapi.orders import LABEL
from gateway.openapi.problems import MODEL, STORE
from gateway.services.models.segments import SegmentInFull, SegmentList

_SEGMENT = "/api/v1/segments/{segment_id}"
_LABELS = ("labels_damaged", "artefact_damaged", "version_not_found")

SEGMENTS = Resource(
    "Segments",
    "The kinds of customer that the active model knows: size, profile, actions, and what people call them.",
    {
        "GET /api/v1/segments": Operation(
            "listSegments",
            "List the segments of the active model",
            "Sizes and shares are those of the stored customers now, beside those of the training data.",
            {
                200: Answer(
                    "All segments",
                    SegmentList,
                    links={"read": Link("getSegment", {"segment_id": "$response.body#/items/0/id"})},
                )
            },
            problems=(*MODEL, *STORE),
        ),
        f"GET {_SEGMENT}": Operation(
            "getSegment",
            "Read a segment in full",
            "With the rules that describe it and typical and borderline members of the training data.",
            {200: Answer("The segment", SegmentInFull)},
            problems=("segment_not_found", *_LABELS, *MODEL, *STORE),
        ),
        f"PATCH {_SEGMENT}": Operation(
            "labelSegment",
            "Name a segment, describe it or say who owns it",
            "A JSON merge patch; null clears, and the name made by rule serves again. What people say follows the "
            "segment's id through every retraining.",
            {200: Answer("The segment as it is now", SegmentInFull)},
            Body(LABEL, media_types=(MERGE_PATCH, JSON), required=False),
            ("segment_not_found", "name_taken", "store_not_writable", *_LABELS, *MODEL, *STORE),
        ),
    },
)
