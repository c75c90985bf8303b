"""The service itself: entry points, health checks and documentation."""

from __future__ import annotations

from gateway.controllers.service import FILES, AlertController, DocumentationController, ServiceController
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import BINARY, MODEL, STORE, TEXT, UNCHANGED, Answer, Operation
from gateway.services.alerts import Alerts
from gateway.services.principal import Scope
from gateway.services.service import Health

_DOCUMENT = {"type": "object"}
_COPY = ("If-None-Match",)


_GET_INDEX = Operation("getIndex", "List the entry points", "", {200: Answer("The address of every resource", "Index")})
_GET_LIVENESS = Operation("getLiveness", "Check that the process is alive", "", {200: Answer("It is", "Liveness")})
_GET_READINESS = Operation(
    "getReadiness",
    "Check that the database accepts writes",
    "The state of the model service is reported but not required: writes do not depend on it. So are the indexes and "
    "validators that the worker has still to make (`schema_missing`): lists are slower until then.",
    {200: Answer("Ready", Health)},
    problems=STORE,
)
_GET_OPEN_API = Operation(
    "getOpenAPI",
    "Get this document",
    "",
    {200: Answer("The document", _DOCUMENT, headers=("ETag",)), 304: UNCHANGED},
    headers=_COPY,
)
_GET_MODEL_SERVICE_OPEN_API = Operation(
    "getModelServiceOpenAPI",
    "Get the OpenAPI document of the model service",
    "That service can be reached only through this gateway.",
    {200: Answer("The document", _DOCUMENT), 304: UNCHANGED},
    problems=MODEL,
    headers=_COPY,
)
_GET_DOCS = Operation(
    "getDocs",
    "Browse and try this API",
    "",
    {
        200: Answer("The page; it loads nothing from other hosts", TEXT, ("text/html",), headers=("ETag",)),
        304: UNCHANGED,
    },
    headers=_COPY,
)
_GET_DOCS_FILE = Operation(
    "getDocsFile",
    "Get a file that the page loads",
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


_GET_METRICS = Operation(
    "getMetrics",
    "Read the metrics",
    "For Prometheus, in its text format. Requests that come straight from one of METRICS_NETWORKS, past no proxy, need "
    "no key. The metrics are those of all processes of this gateway; a worker has its own.",
    {200: Answer("The metrics", TEXT, ("text/plain",))},
)

_LIST_ALERTS = Operation(
    "listAlerts",
    "See what needs attention",
    "What does not work, stands still or should be looked at, in plain words, the most urgent first: the model service "
    "is away, customers wait for a segment and why, no worker runs, the change log is behind, the sizes of segments "
    "are not counted or disagree with the list, the customers have drifted, the last import failed, webhooks "
    "are not accepted. It is what is known anyway, so that asking costs little; `items` is empty where all is well.\n\n"
    "`code` stays the same, for programs; new codes may come. Alert rules for Prometheus are in `deploy/prometheus/`.",
    {200: Answer("What needs attention now", Alerts)},
    problems=STORE,
)


def alerts(controller: AlertController) -> Resource:
    """Return the route to what needs attention."""
    return Resource(
        "Alerts",
        "What needs attention now.",
        (Route("GET", "/alerts", controller.list, Scope.MODELS_READ, _LIST_ALERTS, work=Work.BOTH),),
    )


def service(controller: ServiceController, documentation: DocumentationController) -> Resource:
    """Return the routes outside of the API."""
    files = ",".join(f"'{name}'" for name in FILES)
    return Resource(
        "Service",
        "Entry points, health checks, metrics and documentation. Only metrics need a key.",
        (
            Route("GET", "/", controller.index, None, _GET_INDEX, work=Work.PAGE),
            Route("GET", "/health/live", controller.live, None, _GET_LIVENESS, work=Work.LIVENESS),
            Route("GET", "/health/ready", controller.ready, None, _GET_READINESS),
            Route("GET", "/metrics", controller.metrics, Scope.METRICS_READ, _GET_METRICS, work=Work.METRICS),
            Route("GET", "/openapi.json", documentation.document, None, _GET_OPEN_API, work=Work.PAGE),
            Route(
                "GET",
                "/openapi/model-service.json",
                documentation.model_service,
                None,
                _GET_MODEL_SERVICE_OPEN_API,
                work=Work.PAGE,  # whoever shows no key must not hold places of those who do
            ),
            Route("GET", "/docs", documentation.page, None, _GET_DOCS, work=Work.PAGE),
            Route("GET", f"/docs/<any({files}):file>", documentation.file, None, _GET_DOCS_FILE, work=Work.PAGE),
        ),
        prefix="",
    )
