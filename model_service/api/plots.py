"""Reports and plots: those of a version, and drift and transitions drawn on demand by another process.

Versions are immutable, but what people call their segments and the currency of the amounts are not: what shows them is
stored as it was when the version was trained, drawn again as they are now when it is asked for, by another process, and
kept in memory. So is the marketing edition of the report, which is not stored at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import model_service
from model_service.api.bodies import parse, read_body
from model_service.api.dependencies import Model, Store, TheSettings, each_once, no_query
from model_service.api.errors import ApiError, field_errors, validation_failed
from model_service.api.openapi import BAD_BODY, NO_MODEL, NO_QUERY, Version, accepts, problems, schema_of
from model_service.store.artefact import FIGURES_FILE, INDEX_FILE, MARKETING_FILE, PLOT_FOLDER, REPORT_FILE
from model_service.store.errors import ArtefactDamaged
from shared.model_contract import ACTIVE, MODELS, PLOTS, Drift, Edition, Label, Plot, Preview
from shared.problems import FieldError

log = logging.getLogger(__name__)

router = APIRouter(dependencies=[no_query], responses=NO_QUERY)
reports = APIRouter()
"""Those that take parameters."""

HTML = "text/html; charset=utf-8"
MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load while it shows a report or a plot: nothing that is not in the file itself."""

RETRY_SECONDS = 2
"""When to ask again if too many plots are being drawn; one takes about so long."""

MAX_BYTES = 1024 * 1024
"""Largest description of a plot."""

MAX_CONCURRENT = 2
"""Plots that a process draws at a time; each takes a processor and 150 MB for a second or two."""

MAX_WAITING = 12
"""How many more wait for that: all pictures of a version, which a page may ask for at once after a renaming."""

QUEUE_SECONDS = 10.0
"""How long they wait at most."""

TIMEOUT_SECONDS = 30.0
"""Longest time a drawing may take."""

REPORT_SECONDS = 60.0
"""The same of a report, which has many; even if nobody waits for it any more, it is kept for who asks next."""

MAX_SEGMENTS = 100
MAX_COUNT = 10**12

SUBJECTS: dict[str, TypeAdapter[Any]] = {"drift": TypeAdapter(Drift), "transitions": TypeAdapter(Preview)}
"""What can be drawn, and the shape of what describes it."""

KEPT = 12
"""Files drawn again that a process keeps; a report takes 2 MB."""

_program = (sys.executable, "-m", "model_service.report.comparison_plots")
_again = (sys.executable, "-m", "model_service.report.redraw")
_marketing = (sys.executable, "-m", "model_service.report.marketing")
_root = Path(model_service.__file__).parent.parent


class Drawing:
    """Draws plots, a few at a time.

    Parameters
    ----------
    currency : of all amounts, a code in ISO 4217 or nothing.
    """

    def __init__(self, currency: str = "") -> None:
        self._currency = currency
        self._places = asyncio.Semaphore(MAX_CONCURRENT)
        self._asked = 0
        self._kept: dict[_Renamed, bytes] = {}

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Hold one of the places where a plot is drawn in a ``with`` block; wait for it, not for long.

        Raises
        ------
        ApiError
            503 when too many wait already, or none becomes free in time.
        """
        if self._asked >= MAX_CONCURRENT + MAX_WAITING:
            raise _busy()
        self._asked += 1
        try:
            try:
                await asyncio.wait_for(self._places.acquire(), QUEUE_SECONDS)
            except TimeoutError:
                raise _busy() from None
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._asked -= 1

    async def again(self, wanted: _Renamed, version: Path) -> bytes:
        """Return a file of a version, drawn with the names of now.

        Raises
        ------
        ApiError
            503 when too many plots are being drawn; 500 when the drawing fails or takes longer than `REPORT_SECONDS`.
        """
        content = self._kept.pop(wanted, None)
        if content is None:
            async with self._place():
                content = self._kept.pop(wanted, None) or await _run(
                    self._program(wanted, version), wanted.labels, REPORT_SECONDS
                )
        self._kept = dict([*self._kept.items(), (wanted, content)][-KEPT:])  # the last one used stays longest
        return content

    def _program(self, wanted: _Renamed, version: Path) -> list[str]:
        if wanted.file == MARKETING_FILE:
            return [*_marketing, str(version), self._currency]
        return [*_again, str(version), wanted.file, self._currency]

    async def draw(self, subject: str, kind: str, body: bytes) -> bytes:
        """Return the plot of what `body` describes in JSON.

        Raises
        ------
        ApiError
            400 or 422 when `body` is not that; 503 when too many plots are being drawn; 500 when the drawing fails or
            takes longer than `TIMEOUT_SECONDS`.
        """
        async with self._place():
            await asyncio.to_thread(_check, subject, body)
            return await _run([*_program, subject, kind], body, TIMEOUT_SECONDS)


def _busy() -> ApiError:
    detail = f"Too many plots are being drawn; try again in {RETRY_SECONDS} seconds."
    return ApiError(503, "analysis_busy", detail, headers={"retry-after": str(RETRY_SECONDS)})


class _Renamed(NamedTuple):
    """A file of a version, and the labels to draw it with, in JSON; ``tag`` tells it from what it was before."""

    version: str
    file: str
    tag: str
    labels: bytes


def _check(subject: str, body: bytes) -> None:
    value = parse(body)
    try:
        SUBJECTS[subject].validate_python(value, strict=True)
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
        faults.append(
            FieldError(
                pointer="/transitions",
                detail="must have one row for each entry of before and one column for each entry of after",
            )
        )
    if any(not 0 <= count <= MAX_COUNT for row in counts for count in row):
        faults.append(FieldError(pointer="/transitions", detail=f"must contain counts from 0 to {MAX_COUNT:g}"))
    return faults


def _size_faults(pointer: str, rows: list[Any]) -> list[FieldError]:
    many = len(rows) > MAX_SEGMENTS
    return [FieldError(pointer=pointer, detail=f"must have at most {MAX_SEGMENTS} entries")] if many else []


async def _run(command: list[str], given: bytes, seconds: float) -> bytes:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=_root)
    try:
        plot, complaint = await asyncio.wait_for(process.communicate(given), seconds)
    except TimeoutError:
        raise ApiError(500, "drawing_failed", f"The drawing took longer than {seconds:g} seconds.") from None
    finally:
        if process.returncode is None:  # too slow, or the client left
            process.kill()
            await process.wait()
    if process.returncode or not plot:
        log.error("drawing failed (%s): %s", process.returncode, complaint.decode(errors="replace"))
        raise ApiError(500, "drawing_failed", "The plot could not be drawn; the log has the reason.")
    return plot


_PLOT: dict[str, Any] = {"image/svg+xml": {}, "image/png": {}}
_REFUSALS = {
    **NO_MODEL,
    "s404": "No version with this name is stored, or it has no report and no plots",
    "s409": "The files of the version are damaged",
}
_BUSY = "Too many plots are being drawn"
_REDRAWN = {
    "s500": "Drawing it with the names of now failed or took too long",
    "s503": "No model is loaded, or too many plots are being drawn",
}
_UNCHANGED = {"description": "The client has it already (If-None-Match)"}
_DRAWN = [f"{subject}.{kind}" for subject in SUBJECTS for kind in MEDIA_TYPES]

File = Annotated[str, PathParameter(description="A plot's name with .svg or .png", examples=["elbow.svg"])]
DrawnFile = Annotated[
    str,
    PathParameter(
        description="drift or transitions (which takes a preview), with .svg or .png",
        json_schema_extra={"enum": _DRAWN},  # not checked: nothing else is found, which is a 404
    ),
]


class ReportQuery(BaseModel):
    """The parameters of a report."""

    model_config = ConfigDict(extra="forbid")

    edition: Edition = Field(
        "validation",
        description="`validation` for analysts and auditors, `marketing` for a page a segment in plain words",
    )


def _shown(content: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Self-contained: it loads nothing from elsewhere", "content": content}


class _Wanted(NamedTuple):
    """A stored version; ``alias`` when the address names the active one, which may be another tomorrow."""

    path: Path
    alias: bool


async def _wanted(version: Version, store: Store, model: Model) -> _Wanted:
    if version == ACTIVE:
        return _Wanted(store.path(model.serving().version), alias=True)
    return _Wanted(store.path(version), alias=False)


Wanted = Annotated[_Wanted, Depends(_wanted)]


async def _drawing(request: Request) -> Drawing:
    return cast(Drawing, request.app.state.drawing)


Drawer = Annotated[Drawing, Depends(_drawing)]


@reports.get(
    MODELS + "/{version}/report",
    operation_id="show_report",
    response_class=Response,
    responses=problems(**(_REFUSALS | _REDRAWN), s422="An edition that there is not, or another parameter")
    | {200: _shown({"text/html": {}}), 304: _UNCHANGED},
    dependencies=[each_once],
)
async def show_report(
    request: Request,
    version: Wanted,
    query: Annotated[ReportQuery, Query()],
    store: Store,
    settings: TheSettings,
    drawing: Drawer,
) -> Response:
    """Show a version's report: one HTML page that holds all it shows and can be filed or printed."""
    files = _Files(version, store, drawing, settings.currency)
    if query.edition == "marketing":
        return await files.marketing(request)
    return await files.answer(request, REPORT_FILE, HTML)


@router.get(
    MODELS + "/{version}/plots",
    operation_id="list_plots",
    response_model=dict[str, list[Plot]],
    responses=problems(**_REFUSALS),
)
def list_plots(version: Wanted) -> dict[str, list[Plot]]:
    """List a version's plots."""
    base = f"{MODELS}/{version.path.name}/plots"
    return {"items": [_plot(base, name, texts) for name, texts in _listed(version.path).items()]}


@router.get(
    MODELS + "/{version}/plots/{file}",
    operation_id="show_plot",
    response_class=Response,
    responses=problems(**(_REFUSALS | _REDRAWN)) | {200: _shown(_PLOT), 304: _UNCHANGED},
)
async def show_plot(
    request: Request, version: Wanted, file: File, store: Store, settings: TheSettings, drawing: Drawer
) -> Response:
    """Show a plot of a version."""
    name, _, kind = file.rpartition(".")
    if name not in await asyncio.to_thread(_listed, version.path) or kind not in MEDIA_TYPES:
        raise ApiError(404, "plot_not_found", f"Version {version.path.name} has no such plot.")
    files = _Files(version, store, drawing, settings.currency)
    return await files.answer(request, f"{PLOT_FOLDER}/{file}", MEDIA_TYPES[kind])


@router.post(
    PLOTS + "/{file}",
    response_class=Response,
    openapi_extra=accepts({"oneOf": [schema_of(shape) for shape in (Drift, Preview)]}),
    responses=problems(
        **BAD_BODY,
        s404="Neither drift nor transitions, or neither svg nor png",
        s500="The drawing failed or took too long",
        s503=_BUSY,
    )
    | {200: _shown(_PLOT)},
)
async def draw(request: Request, file: DrawnFile, drawing: Drawer) -> Response:
    """Draw the answer of a drift or a preview."""
    subject, _, kind = file.rpartition(".")
    if subject not in SUBJECTS or kind not in MEDIA_TYPES:
        raise ApiError(404, "plot_not_found", f"Only {' and '.join(SUBJECTS)} can be drawn, as svg or png.")
    body = await read_body(request, MAX_BYTES)
    plot = await drawing.draw(subject, kind, body)
    return Response(plot, headers=_guarded({"cache-control": "no-store"}), media_type=MEDIA_TYPES[kind])


def _listed(version: Path) -> dict[str, tuple[str, str]]:
    """Return title and caption of a version's plots by name; no other file is ever read."""
    index = version / PLOT_FOLDER / INDEX_FILE
    _refuse_missing(index, version)
    try:
        return {
            str(plot["name"]): (str(plot["title"]), str(plot.get("caption", "")))
            for plot in orjson.loads(index.read_bytes())
        }
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ArtefactDamaged(f"The list of plots of version {version.name} cannot be read ({error!r}).") from error


def _plot(base: str, name: str, texts: tuple[str, str]) -> Plot:
    return Plot(name=name, title=texts[0], caption=texts[1], svg=f"{base}/{name}.svg", png=f"{base}/{name}.png")


class _Files:
    """The files of a version, as they are to be shown now."""

    def __init__(self, version: _Wanted, store: Store, drawing: Drawing, currency: str) -> None:
        self._version = version
        self._store = store
        self._drawing = drawing
        self._currency = currency

    async def answer(self, request: Request, file: str, media_type: str) -> Response:
        """Answer with a file, or with 304 when the client has it already."""
        version = self._version.path
        _refuse_missing(version / file, version)
        return await self._answer(request, file, media_type, await asyncio.to_thread(self._now, file))

    async def marketing(self, request: Request) -> Response:
        """Answer with the marketing edition of the report, which every version has, or with 304.

        Raises
        ------
        VersionNotFound, ArtefactDamaged
        """
        await asyncio.to_thread(self._store.manifest, self._version.path.name)
        labels = orjson.dumps(await asyncio.to_thread(self._labels, MARKETING_FILE, None), option=orjson.OPT_SORT_KEYS)
        return await self._answer(request, MARKETING_FILE, HTML, _Now(labels, self._tag(labels, "")))

    async def _answer(self, request: Request, file: str, media_type: str, now: _Now) -> Response:
        version = self._version.path
        # Versions are immutable, so their files need no hash, but for the names and the currency, which people change.
        tag = f'"{version.name}/{file}{now.tag}"'
        lasting = not now.tag and not self._version.alias
        caching = "private, max-age=31536000, immutable" if lasting else "private, no-cache"
        headers = _guarded({"etag": tag, "cache-control": caching})
        if _has(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if now.labels is None:
            content = await asyncio.to_thread(_read, version, file)
        else:
            content = await self._drawing.again(_Renamed(version.name, file, now.tag, now.labels), version)
        return Response(content, headers=headers, media_type=media_type)

    def _now(self, file: str) -> _Now:
        """Return how `file` is to be shown; versions from before there were figures are shown as they are stored."""
        path = self._version.path / PLOT_FOLDER / FIGURES_FILE
        try:
            if not path.exists():
                return _Now(None, "")
            figures = orjson.loads(path.read_bytes())
            named = file == REPORT_FILE or Path(file).stem in figures["named"]
            current = figures.get("currency") == self._currency
            note, shown = str(figures["note"]), set(figures["segments"])
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            detail = f"What the plots of version {self._version.path.name} are drawn from cannot be read ({error!r})."
            raise ArtefactDamaged(detail) from error
        if current and not named:
            return _Now(None, "")
        said = self._labels(file, shown) if named else {}
        text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        return _Now(None if current and not said else text, self._tag(text, note))

    def _labels(self, file: str, shown: set[str] | None) -> dict[str, dict[str, str | None]]:
        """Return what people say of the segments `shown` (None: of all) and `file` shows."""
        in_full = file in (REPORT_FILE, MARKETING_FILE)
        return {
            identity: said
            for identity, label in self._store.labels.usable().items()
            if (shown is None or identity in shown) and (said := _said(label, in_full))
        }

    def _tag(self, labels: bytes, note: str) -> str:
        return f"/{hashlib.sha256(b'%b%b%b' % (labels, note.encode(), self._currency.encode())).hexdigest()[:16]}"


def _said(label: Label, in_full: bool) -> dict[str, Any] | None:
    """Return what of a label is shown, in the report (`in_full`) or in a plot; None where nothing is."""
    said: dict[str, Any] = {"name": label["name"], "description": None, "owner": None, "actions": None}
    if in_full:
        said |= {name: label.get(name) for name in ("description", "owner", "actions")}
    nothing = all(value is None for value in said.values())
    return None if nothing else {**said, "derived_name": label["derived_name"]}


class _Now(NamedTuple):
    """Labels as JSON to draw a file again with, None to show it as it is stored, and what tells it from others."""

    labels: bytes | None
    tag: str


def _read(version: Path, file: str) -> bytes:
    try:
        return (version / file).read_bytes()
    except OSError as error:
        raise ArtefactDamaged(f"{file} of version {version.name} cannot be read ({error.strerror}).") from error


def _refuse_missing(file: Path, version: Path) -> None:
    if not file.exists():
        raise ApiError(404, "report_not_found", f"Version {version.name} has no report and no plots.")


def _has(known: str, tag: str) -> bool:
    """Whether `tag` is among the entity tags of an If-None-Match header, which compares weakly (RFC 9110)."""
    return known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(","))


def _guarded(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
