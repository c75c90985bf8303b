"""Exports: files of stored customers."""

from __future__ import annotations

from gateway.files.writer import KINDS
from gateway.openapi.headers import CONTENT_DISPOSITION
from gateway.openapi.operation import BINARY, Answer, Operation, Resource
from gateway.openapi.parameters import CONDITIONS
from gateway.openapi.problems import STORE

EXPORTS = Resource(
    "Exports",
    "Files of stored customers, of any size.",
    {
        "GET /api/v1/exports/customers": Operation(
            "exportCustomers",
            "Export customers to a file",
            f"In CUST_ID order. {CONDITIONS} The file can be imported again as it is. CSV cells that a spreadsheet "
            "would run as formulas begin with an apostrophe. A file that broke off ends in a quotation mark that is "
            "never closed, so that nothing reads it as whole.",
            {
                200: Answer(
                    "The file",
                    others={kind.media_type: BINARY for kind in KINDS.values()},
                    headers=(CONTENT_DISPOSITION,),
                )
            },
            problems=("not_acceptable", "analysis_busy", *STORE),
            query={
                "format": {
                    "description": "The kind of file; without it, the one that Accept likes best, or the first",
                    "schema": {"type": "string", "enum": list(KINDS)},
                }
            },
        ),
    },
)
