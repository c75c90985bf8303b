"""The service itself: what it offers and whether it works."""

from __future__ import annotations

from flask import Response

from gateway.controllers.exchange import answer
from gateway.services.health import HealthService

_RESOURCES = (
    "customers",
    "deleted-customers",
    "imports",
    "exports/customers",
    "predictions",
    "segments",
    "models",
    "trainings",
    "activations",
    "api-keys",
    "audit",
)
_ELSEWHERE = {"health": "/health/ready", "documentation": "/docs", "openapi": "/openapi.json"}


class ServiceController:
    """Index and health checks."""

    def __init__(self, health: HealthService) -> None:
        self._health = health

    def index(self) -> Response:
        """GET /."""
        links = {name: f"/api/v1/{name}" for name in _RESOURCES}
        return answer({"service": "customer-segmentation gateway", "links": {**links, **_ELSEWHERE}})

    def live(self) -> Response:
        """GET /health/live: the process answers."""
        return answer({"status": "ok"})

    def ready(self) -> Response:
        """GET /health/ready: the database takes writes. The model service is reported, not required."""
        return answer(self._health.check())
