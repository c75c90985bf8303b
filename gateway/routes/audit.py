"""The audit trail; a module of its own, because every resource has one of its name in each layer."""

from __future__ import annotations

from gateway.controllers.audit import AuditController
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import STORE, Operation, PageOf, page
from gateway.schemas.paging import LIMIT, POSITION_CURSOR
from gateway.schemas.queries import AUDIT
from gateway.services.events.audit import AuditEntry
from gateway.services.principal import Scope

_LIST_AUDIT_ENTRIES = Operation(
    "listAuditEntries",
    "List the audit entries",
    "Newest first. All filters must match. `action` also takes the names that actions had in earlier versions.",
    page("listAuditEntries", PageOf(AuditEntry)),
    problems=STORE,
)


def audit(controller: AuditController) -> Resource:
    """Return the route that says who changed what."""
    return Resource(
        "Audit trail",
        "Who changed what, when, and from where: a view of the change log, which an entry reaches within a second.",
        (
            Route(
                "GET",
                "/audit",
                controller.list,
                Scope.ADMIN,
                _LIST_AUDIT_ENTRIES,
                (*AUDIT, LIMIT, POSITION_CURSOR),
                Work.MANY,
            ),
        ),
    )
