"""Reports and pictures: those stored with a version, and drift and transitions drawn on demand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import orjson
from fastapi import Request
from fastapi.responses import Response

from model_service.active_model import ActiveModel
from model_service.api import picture_documentation as documentation
from model_service.api.drawing import SUBJECTS, Drawing
from model_service.api.errors import ApiError, problem_response
from model_service.api.json_body import read_body
from model_service.api.routes import Route, json_answer
from model_service.registry import ModelStore
from model_service.registry_errors import ArtefactDamaged
from model_service.report_files import INDEX_FILE, PLOT_FOLDER, REPORT_FILE
from shared.model_contract import ACTIVE, MODELS, PLOTS, Plot

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
