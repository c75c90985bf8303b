"""Imports: files of customers of any size."""

from __future__ import annotations

from gateway.openapi.components import page_of
from gateway.openapi.headers import CONTENT_DISPOSITION, LINK, LOCATION
from gateway.openapi.operation import BINARY, TEXT, Answer, Body, Link, Operation, Resource
from gateway.openapi.problems import STORE
from gateway.services.imports.records import MAX_KEPT_FAULTS, MAX_LISTED_ERRORS, Import, ImportSummary
from shared.features import CUST_ID, INPUTS
from shared.model_contract import CSV, NDJSON, PARQUET

FILES = (PARQUET, NDJSON, CSV)
"""openapi-python-client takes the last of several kinds of file for all of them: let it be the commonest."""

_IMPORTS = "/api/v1/imports"
_IMPORT = f"{_IMPORTS}/{{import_id}}"
_ID = {"import_id": "$response.body#/id"}
_NEXT = {
    "read": Link("getImport", _ID),
    "errors": Link("getImportErrors", _ID),
    "cancel": Link("cancelImport", _ID),
}
_REFUSALS = ("upload_broken", "request_timeout", "length_required", "import_unreadable", "contended", "analysis_busy")
_FAULTS = ("import_interrupted", "import_failed")


class ImportReceipt(Import):
    """An import with the first of its faults; ``errors_url`` is the address of all of them."""

    errors_url: str


class ListedImport(ImportSummary):
    """An import without its faults; ``errors_url`` is their address."""

    errors_url: str


IMPORTS = Resource(
    "Imports",
    "Files of customers, of any size. An import can be watched, stopped and looked up while it runs and later.",
    {
        f"POST {_IMPORTS}": Operation(
            "importCustomers",
            "Import a file of customers",
            "CSV (comma, semicolon or tab; columns in any order and letter case), NDJSON or Parquet. Bad rows never "
            "stop good ones; the receipt lists the first of them. The same file again changes nothing, and finishes an "
            f"import that broke off. With `Accept: {NDJSON}` the receipt so far comes again and again while the file "
            "is read, a line each time; the last line is the receipt.",
            {
                201: Answer(
                    "The receipt of the whole file",
                    ImportReceipt,
                    others={NDJSON: BINARY},
                    headers=(LOCATION,),
                    links=_NEXT,
                )
            },
            Body(
                BINARY,
                f"The columns {CUST_ID}, {', '.join(f.name for f in INPUTS)}; those that may be null may be left out",
                FILES,
            ),
            (*_REFUSALS, *_FAULTS, *STORE),
            query={
                "name": {"description": "What the file is called, for people", "schema": {**TEXT, "maxLength": 200}}
            },
        ),
        f"GET {_IMPORTS}": Operation(
            "listImports",
            "List the imports",
            "Newest first.",
            {
                200: Answer(
                    "A page",
                    page_of(ListedImport),
                    headers=(LINK,),
                    links={
                        "next": Link("listImports", {"cursor": "$response.body#/next_cursor"}),
                        "read": Link("getImport", {"import_id": "$response.body#/items/0/id"}),
                    },
                )
            },
            problems=STORE,
        ),
        f"GET {_IMPORT}": Operation(
            "getImport",
            "Say how far an import is, or how it ended",
            f"With the first {MAX_LISTED_ERRORS} of its faults.",
            {200: Answer("The import", ImportReceipt, links=_NEXT)},
            problems=("import_not_found", *STORE),
        ),
        f"GET {_IMPORT}/errors": Operation(
            "getImportErrors",
            "Read every fault of an import",
            f"One line each: the file's line, the column and what is wrong; up to {MAX_KEPT_FAULTS:,} of them.",
            {200: Answer("The faults", BINARY, (CSV,), headers=(CONTENT_DISPOSITION,))},
            problems=("import_not_found", *STORE),
        ),
        f"POST {_IMPORT}/cancel": Operation(
            "cancelImport",
            "Ask an import to stop",
            "It does so within a second or two, whichever process runs it; what it has stored stays stored.",
            {202: Answer("The import, which is about to stop", ImportReceipt, links={"read": _NEXT["read"]})},
            problems=("import_not_found", "import_ended", *STORE),
        ),
    },
)
