"""Reports and plots: those stored with a version, and drift and transitions drawn on demand by another process."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

import model_service
from model_service.active_model import ActiveModel
from model_service.api import plot_documentation as documentation
from model_service.api.bodies import parse, read_body
from model_service.api.errors import ApiError, problem_response, validation_failed
from model_service.api.routes import Route, json_answer
from model_service.api.schemas import answer_model, field_errors
from model_service.store.artefact import INDEX_FILE, PLOT_FOLDER, REPORT_FILE
from model_service.store.errors import ArtefactDamaged
from model_service.store.registry import ModelStore
from shared.model_contract import ACTIVE, MODELS, PLOTS, Drift, Plot, Preview
from shared.problems import FieldError

MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load while it shows a report or a picture: nothing that is not in the file itself."""

RETRY_SECONDS = 2
"""When to ask again if too many pictures are being drawn; one takes about so long."""


def routes(model: ActiveModel, store: ModelStore) -> tuple[Route, ...]:
    """Return the table of reports and pictures."""
    endpoints = _Endpoints(model, store)
    return (
        Route("GET", MODELS + "/{version}/report", endpoints.report, documentation.REPORT),
        Route("GET", MODELS + "/{version}/plots", endpoints.list, documentation.LIST),
        Route("GET", MODELS + "/{version}/plots/{file}", endpoints.plot, documentation.PLOT),
        Route("POST", PLOTS + "/{file}", endpoints.draw, documentation.DRAW),
    )


class _Version(NamedTuple):
    """A stored version; ``alias`` when it was asked for as the active one, which may be another one tomorrow."""

    path: Path
    alias: bool


class _Endpoints:
    def __init__(self, model: ActiveModel, store: ModelStore) -> None:
        self._model = model
        self._store = store
        self._drawing = Drawing()

    async def report(self, request: Request) -> Response:
        version = self._version(request)
        return await asyncio.to_thread(_stored, request, version, REPORT_FILE, "text/html; charset=utf-8")

    async def list(self, request: Request) -> Response:
        version = self._version(request)
        titles = await asyncio.to_thread(_titles, version.path)
        base = f"{MODELS}/{version.path.name}/plots"
        return json_answer({"items": [_plot(base, name, title) for name, title in titles.items()]})

    async def plot(self, request: Request) -> Response:
        version, file = self._version(request), request.path_params["file"]
        name, _, kind = file.rpartition(".")
        titles = await asyncio.to_thread(_titles, version.path)
        if name not in titles or kind not in MEDIA_TYPES:
            raise ApiError(404, "plot_not_found", f"Version {version.path.name} has no such picture.")
        return await asyncio.to_thread(_stored, request, version, f"{PLOT_FOLDER}/{file}", MEDIA_TYPES[kind])

    async def draw(self, request: Request) -> Response:
        subject, _, kind = request.path_params["file"].rpartition(".")
        if subject not in SUBJECTS or kind not in MEDIA_TYPES:
            raise ApiError(404, "plot_not_found", f"Only {' and '.join(SUBJECTS)} are drawn, as svg or png.")
        body = await read_body(request, documentation.MAX_BYTES)
        if self._drawing.busy():
            detail = f"Enough pictures are being drawn; try again in {RETRY_SECONDS} seconds."
            return problem_response(503, "analysis_busy", detail, headers={"retry-after": str(RETRY_SECONDS)})
        picture = await self._drawing.draw(subject, kind, body)
        return Response(picture, headers=_guarded({"cache-control": "no-store"}), media_type=MEDIA_TYPES[kind])

    def _version(self, request: Request) -> _Version:
        asked = request.path_params["version"]
        if asked == ACTIVE:
            return _Version(self._store.path(self._model.serving().version), alias=True)
        return _Version(self._store.path(asked), alias=False)


def _titles(version: Path) -> dict[str, str]:
    """Return the titles of a version's pictures by name; no other file is ever read."""
    index = version / PLOT_FOLDER / INDEX_FILE
    _refuse_missing(index, version)
    try:
        return {str(plot["name"]): str(plot["title"]) for plot in orjson.loads(index.read_bytes())}
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ArtefactDamaged(f"{version.name}: the list of pictures cannot be read ({error!r})") from error


def _plot(base: str, name: str, title: str) -> Plot:
    return Plot(name=name, title=title, svg=f"{base}/{name}.svg", png=f"{base}/{name}.png")


def _stored(request: Request, version: _Version, file: str, media_type: str) -> Response:
    """Answer with a file of a version, or with 304 when the client has it already."""
    _refuse_missing(version.path / file, version.path)
    tag = f'"{version.path.name}/{file}"'  # versions are immutable, so their files need no hash
    caching = "private, no-cache" if version.alias else "private, max-age=31536000, immutable"
    headers = _guarded({"etag": tag, "cache-control": caching})
    if _has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    try:
        content = (version.path / file).read_bytes()
    except OSError as error:
        raise ArtefactDamaged(f"{version.path.name}: {file} cannot be read ({error.strerror})") from error
    return Response(content, headers=headers, media_type=media_type)


def _refuse_missing(file: Path, version: Path) -> None:
    if not file.exists():
        raise ApiError(404, "report_not_found", f"Version {version.name} was stored without report and pictures.")


def _has(known: str, tag: str) -> bool:
    """Whether `tag` is among the entity tags of an If-None-Match header, which compares weakly (RFC 9110)."""
    return known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(","))


def _guarded(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}


log = logging.getLogger(__name__)

AT_ONCE = 2
"""Pictures that a process draws at a time; each takes a processor and 150 MB for a second or two."""

SECONDS = 30.0
"""Longest time a drawing may take."""

MAX_SEGMENTS = 100
MAX_COUNT = 10**12

SUBJECTS: dict[str, type[BaseModel]] = {"drift": answer_model(Drift), "transitions": answer_model(Preview)}
"""What can be drawn, and the shape of what describes it."""

_program = (sys.executable, "-m", "model_service.report.comparison_plots")
_root = Path(model_service.__file__).parent.parent


class Drawing:
    """Draws pictures, a few at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    def busy(self) -> bool:
        """Whether as many pictures are being drawn as may be."""
        return self._places.locked()

    async def draw(self, subject: str, kind: str, body: bytes) -> bytes:
        """Return the picture of what `body` describes in JSON.

        Raises
        ------
        ApiError
            400 or 422 when `body` is not that; 500 when the drawing fails or takes longer than `SECONDS`.
        """
        async with self._places:
            await asyncio.to_thread(_check, subject, body)
            return await _run([*_program, subject, kind], body)


def _check(subject: str, body: bytes) -> None:
    value = parse(body)
    try:
        SUBJECTS[subject].model_validate(value, strict=True)
    except ValidationError as error:
        raise validation_failed(field_errors(error)) from error
    faults = _matrix_faults(value) if subject == "transitions" else _size_faults("/features", value["features"])
    if faults:
        raise validation_failed(faults)


def _matrix_faults(preview: Any) -> list[FieldError]:
    """Say what is wrong with a preview that has the right members: sizes that do not fit."""
    before, after, counts = preview["before"], preview["after"], preview["transitions"]
    faults = [*_size_faults("/before", before), *_size_faults("/after", after)]
    if not before or not after:
        faults.append(FieldError(pointer="/transitions", detail="must have at least one row and one column"))
    if len(counts) != len(before) or any(len(row) != len(after) for row in counts):
        faults.append(FieldError(pointer="/transitions", detail="must have a row per before and a column per after"))
    if any(not 0 <= count <= MAX_COUNT for row in counts for count in row):
        faults.append(FieldError(pointer="/transitions", detail=f"must hold counts from 0 to {MAX_COUNT:g}"))
    return faults


def _size_faults(pointer: str, rows: list[Any]) -> list[FieldError]:
    many = len(rows) > MAX_SEGMENTS
    return [FieldError(pointer=pointer, detail=f"must have at most {MAX_SEGMENTS} entries")] if many else []


async def _run(command: list[str], given: bytes) -> bytes:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=_root)
    try:
        picture, complaint = await asyncio.wait_for(process.communicate(given), SECONDS)
    except TimeoutError:
        raise ApiError(500, "drawing_failed", f"The drawing took longer than {SECONDS:g} seconds.") from None
    finally:
        if process.returncode is None:  # too slow, or the client left
            process.kill()
            await process.wait()
    if process.returncode or not picture:
        log.error("drawing failed (%s): %s", process.returncode, complaint.decode(errors="replace"))
        raise ApiError(500, "drawing_failed", "The picture could not be drawn; the log has the reason.")
    return picture
