"""Reports and pictures of model versions, and preview and drift, which can be drawn too."""

from __future__ import annotations

from flask import Response, request

from gateway.controllers.exchange import answer, query
from gateway.schemas.queries import load_format
from gateway.services.analyses import AnalysisService
from gateway.services.registry_ports import Document, Format, Gallery
from shared.model_contract import Drift, Preview


class PictureController:
    """What the model service drew of a version."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def report(self, version: str) -> Response:
        """GET /models/{version}/report."""
        return shown(self._gallery.report(version, request.headers.get("If-None-Match")))

    def plots(self, version: str) -> Response:
        """GET /models/{version}/plots."""
        plots = self._gallery.plots(version)
        for plot in plots["items"]:
            address = f"{request.path}/{plot['name']}"
            plot["svg"], plot["png"] = f"{address}.svg", f"{address}.png"
        return answer(plots)

    def plot(self, version: str, name: str, kind: Format) -> Response:
        """GET /models/{version}/plots/{name}.svg and .png."""
        return shown(self._gallery.plot(version, name, kind, request.headers.get("If-None-Match")))


class AnalysisController:
    """What a version would do to the stored customers, and whether they are still those it was trained on."""

    def __init__(self, analyses: AnalysisService, gallery: Gallery) -> None:
        self._analyses = analyses
        self._gallery = gallery

    def preview(self, version: str) -> Response:
        """GET /models/{version}/preview."""
        kind = load_format(query())
        return self._answered(self._analyses.preview(version), kind)

    def drift(self, version: str) -> Response:
        """GET /models/{version}/drift."""
        kind = load_format(query())
        return self._answered(self._analyses.drift(version), kind)

    def _answered(self, figures: Preview | Drift, kind: Format | None) -> Response:
        return answer(figures) if kind is None else shown(self._gallery.draw(figures, kind))


def shown(document: Document) -> Response:
    """Return the answer that hands on a document of the model service."""
    found = {
        "ETag": document.validator,
        "Cache-Control": document.caching,
        "Content-Security-Policy": document.policy,
    }
    headers = {name: value for name, value in found.items() if value}
    if document.content is None:
        return Response(status=304, headers=headers)
    return Response(document.content, headers=headers, mimetype=document.media_type)
