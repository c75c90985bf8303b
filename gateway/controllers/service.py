"""The service itself: what it offers and whether it works."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

from flask import Response, request

from gateway.controllers.http import JSON, json_response, preferred, see_other
from gateway.controllers.models import shown
from gateway.services.alerts import AlertService
from gateway.services.models.registry import ModelRegistry
from gateway.services.service import HealthService
from shared.metrics.text import CONTENT_TYPE

_RESOURCES = (
    "customers",
    "deleted-customers",
    "imports",
    "exports/customers",
    "predictions",
    "segments",
    "assignments/status",
    "alerts",
    "models",
    "trainings",
    "activations",
    "api-keys",
    "audit",
    "events",
    "webhooks",
    "sample",
)
_ELSEWHERE = {"health": "/health/ready", "documentation": "/docs", "openapi": "/openapi.json", "metrics": "/metrics"}


class ServiceController:
    """Index, health checks and metrics."""

    def __init__(self, health: HealthService, metrics: Callable[[], bytes]) -> None:
        self._health = health
        self._metrics = metrics

    def index(self) -> Response:
        """GET /: what there is, for programs; people are led to the first page that they may open."""
        if preferred((JSON, "text/html")) == "text/html":
            return see_other("/sign-in")
        links = {name: f"/api/v1/{name}" for name in _RESOURCES}
        return json_response({"service": "customer-segmentation gateway", "links": {**links, **_ELSEWHERE}})

    def live(self) -> Response:
        """GET /health/live: the process answers."""
        return json_response({"status": "ok"})

    def ready(self) -> Response:
        """GET /health/ready: the database takes writes. The model service is reported, not required."""
        return json_response(self._health.check())

    def metrics(self) -> Response:
        """GET /metrics."""
        return Response(self._metrics(), content_type=CONTENT_TYPE)


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Customer segmentation</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# validatorUrl: the badge would send the document to a server elsewhere.
_START = """\
SwaggerUIBundle({
  url: new URL("openapi.json", location.href).href, // whole: links in it are found from there
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  validatorUrl: null,
});
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}
"""What the page consists of, with the media types."""

# The package's files alone: the page of its blueprint has an inline script, which _POLICY forbids, and passes no guard.
_UI = Path(str(files("flask_swagger_ui"))) / "dist"
_HOUR, _DAY = 3600, 24 * 3600


class DocumentationController:
    """What this service says of itself.

    Parameters
    ----------
    document : makes the document, as JSON; asked once, when somebody first wants it.
    """

    def __init__(self, document: Callable[[], bytes], registry: ModelRegistry) -> None:
        self._document = cache(document)
        self._registry = registry

    def document(self) -> Response:
        """GET /openapi.json."""
        return _lasting(Response(self._document(), mimetype=JSON), _HOUR)

    def model_service(self) -> Response:
        """GET /openapi/model-service.json."""
        return shown(self._registry.openapi_document(request.headers.get("If-None-Match")))

    def page(self) -> Response:
        """GET /docs."""
        headers = {"Content-Security-Policy": _POLICY}
        return _lasting(Response(_PAGE, headers=headers, mimetype="text/html"), _HOUR)

    def file(self, file: str) -> Response:
        """GET /docs/{file}."""
        content = _START if file == "start.js" else (_UI / file).read_bytes()
        return _lasting(Response(content, mimetype=FILES[file]), _DAY)


def _lasting(response: Response, seconds: int) -> Response:
    """Let caches keep the response for a while, then ask whether it has changed."""
    response.add_etag()
    response.cache_control.public = True
    response.cache_control.max_age = seconds
    response.make_conditional(request)
    return response


class AlertController:
    """What needs attention; here, because it is about the whole service."""

    def __init__(self, alerts: AlertService) -> None:
        self._alerts = alerts

    def list(self) -> Response:
        """GET /alerts."""
        return json_response(self._alerts.now())
