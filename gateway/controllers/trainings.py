"""Trainings: begin one, follow it, stop it."""

from __future__ import annotations

from flask import Response, request

from gateway.controllers.exchange import answer, has_body, query
from gateway.controllers.uploads import uploaded
from gateway.schemas.queries import TRAINING, load_parameters
from gateway.services.errors import InvalidInput
from gateway.services.trainings import TrainingService
from shared.model_contract import CSV, PARQUET
from shared.problems import FieldError


class TrainingController:
    """Trainings on a file that is sent, or on the stored customers.

    Parameters
    ----------
    max_upload_bytes : largest file; files pass through, so that it may be far more than fits into memory.
    """

    def __init__(self, trainings: TrainingService, max_upload_bytes: int) -> None:
        self._trainings = trainings
        self._max_upload_bytes = max_upload_bytes

    def create(self) -> Response:
        """POST /models."""
        asked = load_parameters(query(), TRAINING)
        if has_body():
            training = self._trainings.train_on_file(uploaded((CSV, PARQUET), self._max_upload_bytes), asked)
        else:
            _refuse_empty_file()
            training = self._trainings.train_on_stored(asked)
        address = f"{request.path.removesuffix('models')}trainings/{training['id']}"
        return answer(training, 202, {"Location": address})

    def list(self) -> Response:
        """GET /trainings."""
        return answer(self._trainings.list())

    def get(self, training_id: str) -> Response:
        """GET /trainings/{id}."""
        return answer(self._trainings.get(training_id))

    def log(self, training_id: str) -> Response:
        """GET /trainings/{id}/log."""
        return Response(self._trainings.log(training_id), mimetype="text/plain")

    def cancel(self, training_id: str) -> Response:
        """POST /trainings/{id}/cancel."""
        return answer(self._trainings.cancel(training_id), 202)


def _refuse_empty_file() -> None:
    if request.mimetype in (CSV, PARQUET):
        detail = "the file is empty; to train on the stored customers, send no Content-Type either"
        raise InvalidInput([FieldError(pointer="", detail=detail)])
