"""Trainings: begin one, follow it, stop it."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request
from werkzeug.exceptions import ClientDisconnected, LengthRequired, RequestEntityTooLarge, UnsupportedMediaType

from gateway.controllers.exchange import answer, has_body, query
from gateway.schemas.queries import TRAINING, load_parameters
from gateway.services.errors import InvalidInput
from gateway.services.registry_ports import Upload
from gateway.services.trainings import TrainingService
from shared.model_contract import CSV, PARQUET
from shared.problems import FieldError

_PIECE = 256 * 1024


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
            training = self._trainings.train_on_file(self._upload(), asked)
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

    def _upload(self) -> Upload:
        if request.mimetype not in (CSV, PARQUET):
            raise UnsupportedMediaType(f"send the file as {CSV} or {PARQUET}, not {request.mimetype or 'untyped'!r}")
        size = request.content_length
        if size is None:  # a server may not tell a chunked body that broke off from a whole one
            raise LengthRequired("send the file with a Content-Length")
        if size > self._max_upload_bytes:
            raise RequestEntityTooLarge(f"the file must not be larger than {self._max_upload_bytes} bytes")
        return Upload(request.mimetype, size, _pieces(size))


def _refuse_empty_file() -> None:
    if request.mimetype in (CSV, PARQUET):
        detail = "the file is empty; to train on the stored customers, send no Content-Type either"
        raise InvalidInput([FieldError(pointer="", detail=detail)])


def _pieces(size: int) -> Iterator[bytes]:
    """Yield the body as it arrives; one that breaks off raises, or a training would take the half for the whole."""
    request.max_content_length = size  # checked against this route's own limit; the application's is far lower
    left = size
    while left:
        try:
            piece = request.stream.read(min(_PIECE, left))
        except OSError as error:
            raise ClientDisconnected from error
        if not piece:
            raise ClientDisconnected
        left -= len(piece)
        yield piece
