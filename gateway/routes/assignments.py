"""How the workers' part goes on; a module of its own, because every resource has one of its name in each layer."""

from __future__ import annotations

from gateway.controllers.assignments import AssignmentsController
from gateway.routes import Resource, Route
from gateway.routes.operation import STORE, Answer, Operation
from gateway.services.assignments.status import AssignmentsStatus
from gateway.services.principal import Scope

_GET_ASSIGNMENTS_STATUS = Operation(
    "getAssignmentsStatus",
    "See how the background work on segments goes on",
    "What the workers report: how far the customers are scored by the active model, how many changes are on their way "
    "into the change log, and how old the sizes of segments are. When nothing is left to do after an activation or a "
    "rollback, an `assignments.recomputed` in the change log says so, once.\n\n"
    "While something stands still, `reason` says why: the model service is away, some customers lack what the model "
    "needs, or no worker has reported for half a minute.",
    {200: Answer("The state of the background work", AssignmentsStatus)},
    problems=STORE,
)


def assignments(controller: AssignmentsController) -> Resource:
    """Return the route to the state of the background work."""
    return Resource(
        "Assignments",
        "How the customers get the segments of the active model in the background.",
        (Route("GET", "/assignments/status", controller.status, Scope.CUSTOMERS_READ, _GET_ASSIGNMENTS_STATUS),),
    )
