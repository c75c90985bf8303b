"""The service itself."""

from __future__ import annotations

from gateway.openapi.headers import ETAG, IF_NONE_MATCH
from gateway.openapi.operation import BINARY, TEXT, Answer, Named, Operation, Resource
from gateway.openapi.problems import MODEL
from gateway.services.service import Health

_INDEX = Named(
    "Index",
    {
        "type": "object",
        "required": ["service", "links"],
        "properties": {
            "service": {"type": "string"},
            "links": {"type": "object", "additionalProperties": {"type": "string", "format": "uri-reference"}},
        },
    },
)
_LIVE = Named("Liveness", {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}})
_SAME = Answer("The copy at hand is still the right one", headers=(ETAG,))

SERVICE = Resource(
    "Service",
    "What there is, and whether it works. No key is needed.",
    {
        "GET /": Operation("getIndex", "Say what there is", "", {200: Answer("Where everything lies", _INDEX)}),
        "GET /health/live": Operation(
            "getLiveness", "Say that the process answers", "", {200: Answer("It does", _LIVE)}
        ),
        "GET /health/ready": Operation(
            "getReadiness",
            "Say whether the database takes writes",
            "The model service is reported, not required: writes do not wait for it.",
            {200: Answer("Ready", Health)},
            problems=("store_unavailable", "store_error"),
        ),
        "GET /openapi.json": Operation(
            "getOpenAPI",
            "Read this document",
            "",
            {200: Answer("The document", {"type": "object"}, headers=(ETAG,)), 304: _SAME},
            headers=(IF_NONE_MATCH,),
        ),
        "GET /openapi/model-service.json": Operation(
            "getModelServiceOpenAPI",
            "Read the document of the model service",
            "Only this gateway reaches that service.",
            {200: Answer("The document", {"type": "object"}), 304: _SAME},
            problems=MODEL,
            headers=(IF_NONE_MATCH,),
        ),
        "GET /docs": Operation(
            "getDocs",
            "Read and try this API in a browser",
            "",
            {
                200: Answer("A page that loads nothing from elsewhere", TEXT, ("text/html",), headers=(ETAG,)),
                304: _SAME,
            },
            headers=(IF_NONE_MATCH,),
        ),
        "GET /docs/{file}": Operation(
            "getDocsFile",
            "Fetch a part of that page",
            "",
            {
                200: Answer(
                    "The file",
                    others={"text/javascript": TEXT, "text/css": TEXT, "image/png": BINARY},
                    headers=(ETAG,),
                ),
                304: _SAME,
            },
            headers=(IF_NONE_MATCH,),
        ),
    },
)
