"""Exports: files of stored customers."""

from __future__ import annotations

from gateway.controllers.exports import ExportController
from gateway.files.writer import KINDS
from gateway.routes import Resource, Route, Work
from gateway.routes.operation import BINARY, STORE, Answer, Operation
from gateway.schemas.customer_queries import CONDITIONS_RULE, EXPORT
from gateway.services.principal import Scope

_EXPORT_CUSTOMERS = Operation(
    "exportCustomers",
    "Export customers to a file",
    f"In CUST_ID order. {CONDITIONS_RULE} The file can be imported again unchanged. CSV cells that a "
    "spreadsheet would run as a formula begin with an apostrophe. A file that was cut short ends in a "
    "quotation mark that is never closed, so that no reader takes it for complete. With `columns` it is a CSV for "
    "people, under a name of its own: labels instead of names, and segments as they are called.",
    {
        200: Answer(
            "The file",
            others={kind.media_type: BINARY for kind in KINDS.values()},
            headers=("Content-Disposition",),
        )
    },
    problems=("not_acceptable", "analysis_busy", *STORE),
)


def exports(controller: ExportController) -> Resource:
    """Return the route that hands files of customers out."""
    return Resource(
        "Exports",
        "Files of stored customers, of any size.",
        (
            Route(
                "GET",
                "/exports/customers",
                controller.customers,
                Scope.CUSTOMERS_READ,
                _EXPORT_CUSTOMERS,
                EXPORT,
                Work.EXPORT,
            ),
        ),
    )
