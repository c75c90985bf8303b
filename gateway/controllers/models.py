"""The models resource: versions of the model and which of them is active."""

from __future__ import annotations

from flask import Response, request

from gateway.controllers.http import has_body, json_response, query, read_object, read_upload
from gateway.schemas.queries import refused
from gateway.services.errors import InvalidInput
from gateway.services.models.activations import ActivationService
from gateway.services.models.analyses import AnalysisService
from gateway.services.models.registry import Format, ModelRegistry, ServedFile
from gateway.services.models.trainings import TrainingService
from shared.customer_files.reader import MEDIA_TYPES
from shared.model_contract import Drift, Preview
from shared.problems import FieldError


class ModelController:
    """Read what there is, and put another version in force.

    What an order may say is for the model service to judge; its refusals come back with their pointers.
    """

    def __init__(self, registry: ModelRegistry, activations: ActivationService) -> None:
        self._registry = registry
        self._activations = activations

    def list(self) -> Response:
        """GET /models."""
        return json_response(self._registry.models())

    def get(self, version: str) -> Response:
        """GET /models/{version}."""
        return json_response(self._registry.model(version))

    def gate(self, version: str) -> Response:
        """GET /models/{version}/gate."""
        return json_response(self._registry.gate(version))

    def activate(self, version: str) -> Response:
        """POST /models/{version}/activate."""
        return json_response(self._activations.activate(version, read_object()))

    def roll_back(self) -> Response:
        """POST /models/rollback."""
        return json_response(self._activations.roll_back(read_object()))

    def activations(self) -> Response:
        """GET /activations."""
        return json_response(self._registry.activations())


_WITHOUT_FILE = "To train on the stored customers, send no body; note, k and the like are parameters of the address."


class TrainingController:
    """Trainings on a file that is sent, or on the stored customers.

    Parameters
    ----------
    max_upload_bytes : largest file; files pass through, so that it may be far more than fits into memory.
    """

    def __init__(self, registry: ModelRegistry, trainings: TrainingService, max_upload_bytes: int) -> None:
        self._registry = registry
        self._trainings = trainings
        self._max_upload_bytes = max_upload_bytes

    def create(self) -> Response:
        """POST /models."""
        asked = query()
        if has_body():
            file = read_upload(MEDIA_TYPES, self._max_upload_bytes, _WITHOUT_FILE)
            training = self._trainings.train_on_file(file, asked)
        else:
            _refuse_empty_file()
            if "columns" in asked:
                raise refused("columns", "says how a file names its columns, and there is no file")
            training = self._trainings.train_on_stored(asked)
        address = f"{request.path.removesuffix('models')}trainings/{training['id']}"
        return json_response(training, 202, {"Location": address})

    def list(self) -> Response:
        """GET /trainings."""
        return json_response(self._registry.trainings())

    def get(self, training_id: str) -> Response:
        """GET /trainings/{id}."""
        return json_response(self._registry.training(training_id))

    def log(self, training_id: str) -> Response:
        """GET /trainings/{id}/log."""
        return Response(self._registry.training_log(training_id), mimetype="text/plain")

    def cancel(self, training_id: str) -> Response:
        """POST /trainings/{id}/cancel."""
        return json_response(self._trainings.cancel(training_id), 202)


def _plot_format() -> Format | None:
    """Return the format of the plot that is wanted, or None where the figures are."""
    kind = query()["format"]
    return None if kind == "json" else kind


def _refuse_empty_file() -> None:
    if request.mimetype in MEDIA_TYPES:
        detail = "The file is empty; to train on the stored customers, send no Content-Type either."
        raise InvalidInput([FieldError(pointer="", detail=detail)])


class PlotController:
    """What the model service drew of a version."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    def report(self, version: str) -> Response:
        """GET /models/{version}/report."""
        return shown(self._registry.report(version, request.headers.get("If-None-Match"), query()["edition"]))

    def plots(self, version: str) -> Response:
        """GET /models/{version}/plots."""
        plots = self._registry.plots(version)
        for plot in plots["items"]:
            address = f"{request.path}/{plot['name']}"
            plot["svg"], plot["png"] = f"{address}.svg", f"{address}.png"
        return json_response(plots)

    def plot(self, version: str, name: str, kind: Format) -> Response:
        """GET /models/{version}/plots/{name}.{kind}: SVG or PNG."""
        return shown(self._registry.plot(version, name, kind, request.headers.get("If-None-Match")))


class AnalysisController:
    """What a version would do to the stored customers, and whether they are still those it was trained on."""

    def __init__(self, analyses: AnalysisService, registry: ModelRegistry) -> None:
        self._analyses = analyses
        self._registry = registry

    def preview(self, version: str) -> Response:
        """GET /models/{version}/preview."""
        kind = _plot_format()
        return self._answered(self._analyses.preview(version), kind)

    def drift(self, version: str) -> Response:
        """GET /models/{version}/drift."""
        kind = _plot_format()
        return self._answered(self._analyses.drift(version), kind)

    def _answered(self, figures: Preview | Drift, kind: Format | None) -> Response:
        return json_response(figures) if kind is None else shown(self._registry.draw(figures, kind))


def shown(file: ServedFile) -> Response:
    """Return the answer that hands on a file of the model service."""
    found = {
        "ETag": file.validator,
        "Cache-Control": file.caching,
        "Content-Security-Policy": file.policy,
    }
    headers = {name: value for name, value in found.items() if value}
    if file.content is None:
        return Response(status=304, headers=headers)
    return Response(file.content, headers=headers, mimetype=file.media_type)
