"""The audit trail: who changed what, when, and from where."""

from __future__ import annotations

from typing import Any

from gateway.openapi.components import page_of
from gateway.openapi.headers import LINK
from gateway.openapi.operation import Answer, Link, Operation, Resource
from gateway.openapi.problems import STORE
from gateway.schemas.queries import ACTIONS
from gateway.services.audit import AuditEntry


def _time(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string", "format": "date-time"}}


def _id(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string", "minLength": 1, "maxLength": 200}}


AUDIT = Resource(
    "Audit trail",
    "Who changed what, when, and from where. It is written before a change happens, so that none goes unaudited.",
    {
        "GET /api/v1/audit": Operation(
            "listAuditEntries",
            "List who changed what",
            "Newest first. All conditions must hold.",
            {
                200: Answer(
                    "A page",
                    page_of(AuditEntry),
                    headers=(LINK,),
                    links={"next": Link("listAuditEntries", {"cursor": "$response.body#/next_cursor"})},
                )
            },
            problems=STORE,
            query={
                "subject": _id("The id of what was changed, such as a CUST_ID"),
                "actor": _id("The id of who did it, such as that of an API key"),
                "action": {"description": "What was done", "schema": {"type": "string", "enum": list(ACTIONS)}},
                "at[gte]": _time("At this time or later"),
                "at[lt]": _time("Earlier than this time"),
            },
        ),
    },
)
