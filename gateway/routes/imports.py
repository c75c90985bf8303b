"""Imports: files of customers of any size."""

from __future__ import annotations

from gateway.controllers.imports import ImportController, ImportReceipt, ListedImport, SampleController
from gateway.routes import Repeats, Resource, Route, Work
from gateway.routes.operation import BINARY, STORE, Answer, Body, Link, Operation, PageOf, page
from gateway.schemas.paging import PAGE
from gateway.schemas.queries import BACKGROUND, COLUMNS, CONFIRM_MISSING, DRY_RUN, FILE_NAME, IMPORT_MODE
from gateway.services.imports.records import MAX_KEPT_FAULTS, MAX_LISTED_ERRORS
from gateway.services.imports.sample import IDS, SIZE, SampleRemoval, SampleState
from gateway.services.principal import Scope
from shared.features import CUST_ID, INPUTS
from shared.model_contract import CSV, NDJSON, PARQUET, TSV

_WRITE = Scope.CUSTOMERS_WRITE
_FILES = (PARQUET, NDJSON, TSV, CSV)
"""openapi-python-client takes the last of several kinds of file for all of them: let it be the commonest."""

_ID = {"import_id": "$response.body#/id"}
_NEXT = {
    "read": Link("getImport", _ID),
    "errors": Link("getImportErrors", _ID),
    "cancel": Link("cancelImport", _ID),
}
_REFUSALS = ("upload_broken", "length_required", "import_unreadable", "contended", "analysis_busy")
_RUNNING = ("import_running", "mirror_running")
_FAULTS = ("import_interrupted", "import_failed", "mirror_refused")


_IMPORT_CUSTOMERS = Operation(
    "importCustomers",
    "Import a file of customers",
    "CSV (comma, semicolon, tab or bar), NDJSON or Parquet; columns in any order and letter case. Bad rows "
    "never stop good ones; the receipt lists the first of them, counts what looks odd, and says how far the file is "
    "from the data that the model was trained on. The same file again changes nothing, "
    f"and finishes an import that broke off. With `Accept: {NDJSON}` the receipt so far comes again "
    "and again while the file is worked on, a line each time, beginning when all of it has arrived; the last line is "
    "the receipt. With `mode=mirror` those who are missing in the file are deleted, restorably: after all of it has "
    "been stored, not where its rows say too little of whom it has, and more than 5% of the stored customers only "
    "where `confirm_missing` is their number. Otherwise nobody is, and the answer is 409. "
    "No other import runs beside such a one.",
    {
        201: Answer(
            "The receipt of the whole file",
            ImportReceipt,
            others={NDJSON: BINARY},
            headers=("Location",),
            links=_NEXT,
        ),
        202: Answer("The import, which goes on (`background=true`)", ImportReceipt, headers=("Location",), links=_NEXT),
    },
    Body(
        BINARY,
        f"The columns {CUST_ID}, {', '.join(f.name for f in INPUTS)}; those that may be null may be left out",
        _FILES,
    ),
    (*_REFUSALS, *_RUNNING, *_FAULTS, *STORE),
)
_LIST_IMPORTS = Operation(
    "listImports",
    "List the imports",
    "Newest first.",
    page(
        "listImports",
        PageOf(ListedImport),
        read=Link("getImport", {"import_id": "$response.body#/items/0/id"}),
    ),
    problems=STORE,
)
_GET_IMPORT = Operation(
    "getImport",
    "Get the progress or the result of an import",
    f"Includes the first {MAX_LISTED_ERRORS} errors.",
    {200: Answer("The import", ImportReceipt, links=_NEXT)},
    problems=("import_not_found", *STORE),
)
_GET_IMPORT_ERRORS = Operation(
    "getImportErrors",
    "Get all errors of an import",
    f"One line each: line of the file, column, and what is wrong; up to {MAX_KEPT_FAULTS:,} of them.",
    {200: Answer("The errors", BINARY, (CSV,), headers=("Content-Disposition",))},
    problems=("import_not_found", "analysis_busy", *STORE),
)
_CANCEL_IMPORT = Operation(
    "cancelImport",
    "Cancel an import",
    "It stops within a second or two, whichever process runs it. Rows stored so far stay stored.",
    {202: Answer("The import, which is stopping", ImportReceipt, links={"read": _NEXT["read"]})},
    problems=("import_not_found", "import_ended", *STORE),
)


_GET_SAMPLE = Operation(
    "getSample",
    "Get how much of the sample is stored",
    f"The sample is {SIZE:,} generated customers, {IDS[0]} to {IDS[-1]}, to begin with.",
    {200: Answer("How much of it there is", SampleState)},
    problems=("sample_missing", *STORE),
)
_LOAD_SAMPLE = Operation(
    "loadSample",
    "Load the sample",
    "Imports the sample, or what is missing of it. It is for a database without other customers: it is never mixed "
    "with those of a bank, nor where an id of the sample has other data.",
    {201: Answer("The receipt of its import", ImportReceipt, headers=("Location",), links={"read": _NEXT["read"]})},
    problems=("customers_stored", *_RUNNING, "sample_missing", "contended", "analysis_busy", *_FAULTS[:2], *STORE),
)
_REMOVE_SAMPLE = Operation(
    "removeSample",
    "Remove the sample",
    f"Deletes those of {IDS[0]} to {IDS[-1]} whose inputs are the sample's, and nobody else: `changed` ones stay. Each "
    "can be restored as any deleted customer.",
    {200: Answer("How many were deleted", SampleRemoval)},
    problems=(*_RUNNING, "sample_missing", "analysis_busy", *STORE),
)


def imports(controller: ImportController, sample: SampleController) -> Resource:
    """Return the routes that take files of customers, and say what became of them."""
    return Resource(
        "Imports",
        "Files of customers, of any size. An import can be followed and cancelled, and looked up afterwards.",
        (
            Route(
                "POST",
                "/imports",
                controller.create,
                _WRITE,
                _IMPORT_CUSTOMERS,
                (IMPORT_MODE, DRY_RUN, CONFIRM_MISSING, FILE_NAME, COLUMNS, BACKGROUND),
                Work.BULK,
                Repeats(kept=False, upload=True),
            ),
            Route("GET", "/imports", controller.list, _WRITE, _LIST_IMPORTS, PAGE, Work.MANY),
            Route("GET", "/imports/<name:import_id>", controller.get, _WRITE, _GET_IMPORT),
            Route(
                "GET",
                "/imports/<name:import_id>/errors",
                controller.errors,
                _WRITE,
                _GET_IMPORT_ERRORS,
                work=Work.EXPORT,
            ),
            Route("POST", "/imports/<name:import_id>/cancel", controller.cancel, _WRITE, _CANCEL_IMPORT),
            Route("GET", "/sample", sample.get, Scope.CUSTOMERS_READ, _GET_SAMPLE, work=Work.MANY),
            Route("POST", "/sample", sample.load, _WRITE, _LOAD_SAMPLE, work=Work.BULK),
            Route("DELETE", "/sample", sample.remove, _WRITE, _REMOVE_SAMPLE, work=Work.BULK),
        ),
    )
