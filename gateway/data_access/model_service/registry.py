"""The model's life over HTTP: the `ModelRegistry` port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import orjson

from gateway.data_access.model_service.answers import decoded, fault_of
from gateway.data_access.model_service.client import JSON, Body, ModelServiceClient, Reply
from gateway.services.customers.store import Block
from gateway.services.errors import ModelMalformed
from gateway.services.models.registry import Activations, Format, Payload, Plots, ServedFile, Trainings, Upload
from shared.contract import ModelSummary
from shared.features import CUST_ID
from shared.model_contract import (
    ACTIVATIONS,
    ERASURES,
    EVENT_HEADER,
    INTERFACE,
    MODELS,
    NDJSON,
    PLOTS,
    SEGMENTS,
    TRAININGS,
    Activation,
    Drift,
    Edition,
    Erased,
    Gate,
    Label,
    ModelList,
    Preview,
    Training,
)

Answer = TypeVar("Answer")

MEDIA_TYPES: Mapping[Format, str] = {"svg": "image/svg+xml", "png": "image/png"}


class Deadlines(NamedTuple):
    """Seconds to wait for an answer.

    ``reading`` is for what lies ready; ``carrying`` for calls with many customers: trainings, previews, drift;
    ``changing`` for orders, since an activation checks the whole artefact; ``drawing`` for plots and reports, which are
    drawn again when a segment was renamed.
    """

    reading: float
    carrying: float
    changing: float = 10.0
    drawing: float = 40.0


class HttpRegistry:
    """The model service's registry, trainings, plots and analyses."""

    def __init__(self, client: ModelServiceClient, deadlines: Deadlines) -> None:
        self._client = client
        self._deadlines = deadlines

    def models(self) -> ModelList:
        return self._get(ModelList, MODELS)

    def model(self, version: str) -> dict[str, Any]:
        reply = self._call("GET", _address(MODELS, version), self._deadlines.reading)
        decoded(ModelSummary, reply.body)
        return decoded(dict[str, Any], reply.body)  # all of it, whatever the version of tier 2 says of its models

    def gate(self, version: str) -> Gate:
        return self._get(Gate, _address(MODELS, version, "gate"))

    def activate(self, version: str, order: Payload, event: str | None = None) -> Activation:
        return self._order(Activation, "POST", _address(MODELS, version, "activate"), order, _named(event))

    def roll_back(self, order: Payload, event: str | None = None) -> Activation:
        return self._order(Activation, "POST", _address(MODELS, "rollback"), order, _named(event))

    def activations(self) -> Activations:
        return self._get(Activations, ACTIVATIONS)

    def label(self, segment_id: str, changes: Payload) -> Label:
        return self._order(Label, "PATCH", _address(SEGMENTS, segment_id), changes)

    def train(self, upload: Upload, query: Mapping[str, str]) -> Training:
        path = f"{MODELS}?{urlencode(query)}" if query else MODELS
        body = Body(upload.media_type, upload.pieces, upload.size)
        return decoded(Training, self._call("POST", path, self._deadlines.carrying, body).body)

    def trainings(self) -> Trainings:
        return self._get(Trainings, TRAININGS)

    def training(self, training_id: str) -> Training:
        return self._get(Training, _address(TRAININGS, training_id))

    def training_log(self, training_id: str) -> str:
        reply = self._call("GET", _address(TRAININGS, training_id, "log"), self._deadlines.reading)
        return reply.body.decode("utf-8", "replace")  # a process that is killed can end within a character

    def cancel(self, training_id: str) -> Training:
        return self._order(Training, "POST", _address(TRAININGS, training_id, "cancel"), {})

    def erase_from_trainings(self, cust_id: str) -> int:
        return self._order(Erased, "POST", ERASURES, {CUST_ID: cust_id})["erased"]

    def report(self, version: str, known: str | None, edition: Edition = "validation") -> ServedFile:
        path = _address(MODELS, version, "report") + ("" if edition == "validation" else f"?edition={edition}")
        return self._document(path, "text/html", known, self._deadlines.drawing)

    def plots(self, version: str) -> Plots:
        return self._get(Plots, _address(MODELS, version, "plots"))

    def plot(self, version: str, name: str, kind: Format, known: str | None) -> ServedFile:
        path = _address(MODELS, version, "plots", f"{name}.{kind}")
        return self._document(path, MEDIA_TYPES[kind], known, self._deadlines.drawing)

    def openapi_document(self, known: str | None) -> ServedFile:
        return self._document(INTERFACE, JSON, known, self._deadlines.reading)

    def draw(self, figure: Drift | Preview, kind: Format) -> ServedFile:
        subject = "transitions" if "transitions" in figure else "drift"
        path = _address(PLOTS, f"{subject}.{kind}")
        return _document(self._call("POST", path, self._deadlines.drawing, _json_body(figure)), MEDIA_TYPES[kind])

    def preview(self, version: str, blocks: Iterable[Block]) -> Preview:
        return self._analysis(Preview, _address(MODELS, version, "preview"), _lines(blocks))

    def drift(self, version: str, blocks: Iterable[Block], deadline: float | None = None) -> Drift:
        return self._analysis(Drift, _address(MODELS, version, "drift"), _lines(blocks), deadline)

    def _get(self, kind: type[Answer], path: str) -> Answer:
        return decoded(kind, self._call("GET", path, self._deadlines.reading).body)

    def _order(
        self, kind: type[Answer], method: str, path: str, order: Payload, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return decoded(kind, self._call(method, path, self._deadlines.changing, _json_body(order), headers).body)

    def _analysis(self, kind: type[Answer], path: str, lines: Iterable[bytes], deadline: float | None = None) -> Answer:
        seconds = self._deadlines.carrying if deadline is None else deadline
        return decoded(kind, self._call("POST", path, seconds, Body(NDJSON, lines)).body)

    def _document(self, path: str, media_type: str, known: str | None, deadline: float) -> ServedFile:
        headers = {"If-None-Match": known} if known else {}
        return _document(self._call("GET", path, deadline, headers=headers), media_type)

    def _call(
        self,
        method: str,
        path: str,
        deadline: float,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        reply = self._client.call(method, path, deadline, body, headers or {})
        if reply.status in (200, 202) or (reply.status == 304 and headers):
            return reply
        raise fault_of(reply.status, reply.body)


def _address(*parts: str) -> str:
    """Join a path of which the first part is ours; the others could not leave their place even if they tried."""
    return "/".join([parts[0], *(quote(part, safe="") for part in parts[1:])])


def _named(event: str | None) -> Mapping[str, str]:
    return {EVENT_HEADER: event} if event else {}


def _json_body(value: object) -> Body:
    text = orjson.dumps(value)
    return Body(JSON, [text], len(text))


def _document(reply: Reply, media_type: str) -> ServedFile:
    found = reply.headers.get("Content-Type", "").partition(";")[0]
    if reply.status != 304 and found != media_type:
        raise ModelMalformed(f"The model service answered with {found or 'no media type'} instead of {media_type}.")
    return ServedFile(
        media_type,
        None if reply.status == 304 else reply.body,
        reply.headers.get("ETag", ""),
        reply.headers.get("Cache-Control", ""),
        reply.headers.get("Content-Security-Policy", ""),
    )


def _lines(blocks: Iterable[Block]) -> Iterator[bytes]:
    for block in blocks:
        line = block._asdict() if block.ids else {"columns": block.columns}
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
