"""Imports: send a file, follow it, stop it, look up what became of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from flask import Response, request

from gateway.controllers.exports import whole_or_marked
from gateway.controllers.http import JSON, caller, json_response, ndjson_line, preferred, query, read_upload
from gateway.controllers.pages import page_by_id
from gateway.files.reader import CustomerFile, received
from gateway.schemas.queries import refused
from gateway.services.imports.background import BackgroundImports
from gateway.services.imports.imports import ImportOptions, ImportService
from gateway.services.imports.records import Import, ImportMode, ImportSummary
from gateway.services.imports.run import ImportRun
from gateway.services.imports.sample import SampleService
from gateway.services.imports.source import RowFault
from gateway.services.models.registry import Upload
from gateway.services.pages import Page
from shared.customer_files.reader import MEDIA_TYPES
from shared.model_contract import CSV, NDJSON

_FAULTS_A_PIECE = 2_000


class ImportReceipt(Import):
    """An import with the first of its faults; ``errors_url`` is the address of all of them."""

    errors_url: str


class ListedImport(ImportSummary):
    """An import without its faults; ``errors_url`` is their address."""

    errors_url: str


class ImportController:
    """Imports of files.

    Parameters
    ----------
    max_upload_bytes : largest file.
    folder : where Parquet files lie while they are read; None for the system's own place.
    """

    def __init__(self, imports: ImportService, max_upload_bytes: int, folder: Path | None) -> None:
        self._imports = imports
        self._max_upload_bytes = max_upload_bytes
        self._folder = folder
        self._background = BackgroundImports()

    def create(self) -> Response:
        """POST /imports: read the whole file, or answer while it is read where the client accepts NDJSON."""
        upload = read_upload(MEDIA_TYPES, self._max_upload_bytes)
        order = _order(upload.size)
        if query()["background"]:
            return self._create_in_background(upload, order)
        told = preferred((JSON, NDJSON)) == NDJSON
        # A proxy (nginx) sends no more of a body once an answer has begun: then all of it has to be here.
        run = self._begin(upload.media_type, received(upload.pieces, self._folder) if told else upload.pieces, order)
        headers = {"Location": f"{request.path}/{run.record['id']}"}
        if told:
            return Response(_lines(run, request.path), 201, headers, mimetype=NDJSON)
        for _ in run.progress():
            pass  # the record tells whoever asks for it meanwhile
        run.check()
        return json_response(_shown(run.record, request.path), 201, headers)

    def _create_in_background(self, upload: Upload, order: ImportOptions) -> Response:
        """Answer when all of the file is here and its columns fit; the rest goes on without the client."""
        place = self._background.reserve(caller().identity)
        try:
            run = self._begin(upload.media_type, received(upload.pieces, self._folder), order)
            record = run.record
            place.start(run)
        except BaseException:
            place.give_back()
            raise
        headers = {"Location": f"{request.path}/{record['id']}"}
        return json_response(_shown(record, request.path), 202, headers)

    def _begin(self, media_type: str, pieces: Iterable[bytes], order: ImportOptions) -> ImportRun:
        source = CustomerFile(media_type, pieces, self._folder, query().get("columns"))
        try:
            return self._imports.begin(source, order, caller())
        except BaseException:
            source.close()
            raise

    def list(self) -> Response:
        """GET /imports."""
        page = self._imports.page(query().get("cursor"), query()["limit"])
        return page_by_id(Page([_shown(item, request.path) for item in page.items], page.end))

    def get(self, import_id: str) -> Response:
        """GET /imports/{id}."""
        return json_response(_shown(self._imports.get(import_id), request.path.rpartition("/")[0]))

    def cancel(self, import_id: str) -> Response:
        """POST /imports/{id}/cancel."""
        imports = request.path.removesuffix(f"/{import_id}/cancel")
        return json_response(_shown(self._imports.cancel(import_id), imports), 202)

    def errors(self, import_id: str) -> Response:
        """GET /imports/{id}/errors."""
        headers = {"Content-Disposition": f'attachment; filename="import-{import_id}-errors.csv"'}
        return Response(
            whole_or_marked(_csv(self._imports.faults(import_id)), "list of errors"), headers=headers, mimetype=CSV
        )


class SampleController:
    """The sample to begin with."""

    def __init__(self, sample: SampleService) -> None:
        self._sample = sample

    def get(self) -> Response:
        """GET /sample."""
        return json_response(self._sample.state())

    def load(self) -> Response:
        """POST /sample."""
        imports = f"{request.path.rpartition('/')[0]}/imports"
        receipt = self._sample.load(caller())
        return json_response(_shown(receipt, imports), 201, {"Location": f"{imports}/{receipt['id']}"})

    def remove(self) -> Response:
        """DELETE /sample."""
        return json_response(self._sample.remove())


def _order(size: int | None) -> ImportOptions:
    mode, confirmed = query()["mode"], query().get("confirm_missing")
    if confirmed is not None and mode is not ImportMode.MIRROR:
        raise refused("confirm_missing", "can only be given with mode=mirror")
    return ImportOptions(mode, query()["dry_run"], query().get("name"), size, confirmed)


def _shown(record: Import | ImportSummary, imports: str) -> dict[str, Any]:
    return {**record, "errors_url": f"{imports}/{record['id']}/errors"}


def _lines(run: ImportRun, imports: str) -> Iterator[bytes]:
    for record in run.progress():
        yield ndjson_line(_shown(record, imports))


def _csv(faults: Iterable[RowFault]) -> Iterator[bytes]:
    """Yield the faults as CSV. They hold nothing of the file, so that no cell can be a formula."""
    yield b"line,column,detail\r\n"
    rows = iter([fault["line"], fault["column"], fault["detail"]] for fault in faults)
    while some := list(islice(rows, _FAULTS_A_PIECE)):
        text = io.StringIO()
        csv.writer(text).writerows(some)
        yield text.getvalue().encode()
