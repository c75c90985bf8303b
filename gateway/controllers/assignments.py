"""The background work on segments; its own module, because every resource has one of its name in each layer."""

from __future__ import annotations

from flask import Response

from gateway.controllers.http import json_response
from gateway.services.assignments.status import AssignmentsStatusService


class AssignmentsController:
    """Say how the background work goes on."""

    def __init__(self, assignments: AssignmentsStatusService) -> None:
        self._assignments = assignments

    def status(self) -> Response:
        """GET /assignments/status."""
        return json_response(self._assignments.status())
