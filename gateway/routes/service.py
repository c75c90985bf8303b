"""The service itself: what there is, whether it works, and its documentation."""

from __future__ import annotations

from gateway.controllers.service import FILES, DocumentationController, ServiceController
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import BINARY, MODEL, STORE, TEXT, UNCHANGED, Answer, Operation
from gateway.services.service import Health

_DOCUMENT = {"type": "object"}
_COPY = ("If-None-Match",)


_GET_INDEX = Operation("getIndex", "Say what there is", "", {200: Answer("Where everything lies", "Index")})
_GET_LIVENESS = Operation("getLiveness", "Say that the process answers", "", {200: Answer("It does", "Liveness")})
_GET_READINESS = Operation(
    "getReadiness",
    "Say whether the database takes writes",
    "The model service is reported, not required: writes do not wait for it.",
    {200: Answer("Ready", Health)},
    problems=STORE,
)
_GET_OPEN_API = Operation(
    "getOpenAPI",
    "Read this document",
    "",
    {200: Answer("The document", _DOCUMENT, headers=("ETag",)), 304: UNCHANGED},
    headers=_COPY,
)
_GET_MODEL_SERVICE_OPEN_API = Operation(
    "getModelServiceOpenAPI",
    "Read the document of the model service",
    "Only this gateway reaches that service.",
    {200: Answer("The document", _DOCUMENT), 304: UNCHANGED},
    problems=MODEL,
    headers=_COPY,
)
_GET_DOCS = Operation(
    "getDocs",
    "Read and try this API in a browser",
    "",
    {
        200: Answer("A page that loads nothing from elsewhere", TEXT, ("text/html",), headers=("ETag",)),
        304: UNCHANGED,
    },
    headers=_COPY,
)
_GET_DOCS_FILE = Operation(
    "getDocsFile",
    "Fetch a part of that page",
    "",
    {
        200: Answer(
            "The file",
            others={"text/javascript": TEXT, "text/css": TEXT, "image/png": BINARY},
            headers=("ETag",),
        ),
        304: UNCHANGED,
    },
    headers=_COPY,
)


def service(service: ServiceController, documentation: DocumentationController) -> Resource:
    """Return the routes outside of the API."""
    files = ",".join(f"'{name}'" for name in FILES)
    return Resource(
        "Service",
        "What there is, and whether it works. No key is needed.",
        (
            Route("GET", "/", service.index, None, _GET_INDEX),
            Route("GET", "/health/live", service.live, None, _GET_LIVENESS),
            Route("GET", "/health/ready", service.ready, None, _GET_READINESS),
            Route("GET", "/openapi.json", documentation.document, None, _GET_OPEN_API),
            Route(
                "GET",
                "/openapi/model-service.json",
                documentation.model_service,
                None,
                _GET_MODEL_SERVICE_OPEN_API,
                work=Work.MODEL,
            ),
            Route("GET", "/docs", documentation.page, None, _GET_DOCS),
            Route("GET", f"/docs/<any({files}):file>", documentation.file, None, _GET_DOCS_FILE),
        ),
        prefix="",
    )
