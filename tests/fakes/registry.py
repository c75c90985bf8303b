"""The `ModelRegistry` port with one version in force and one that waits; `contracts.registry` holds it to that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from support.descriptions import described

from fakes.model import DOWN
from gateway.services.customers.store import Block
from gateway.services.errors import RegistryRefusal, SegmentationError
from gateway.services.models.registry import Activations, Format, Payload, Plots, ServedFile, Trainings, Upload
from shared.model_contract import (
    ACTIVE,
    Activation,
    Drift,
    Edition,
    Gate,
    Label,
    ModelEntry,
    ModelList,
    Preview,
    Training,
)

OLD = "20240101T000000Z-00000001"
NEW = "20240201T000000Z-00000002"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
REPORT = b"<!doctype html><title>report</title>"
MARKETING = b"<!doctype html><title>for marketing</title>"
INTERFACE = b'{"openapi":"3.1.0"}'
ETAG = '"1"'
POLICY = "default-src 'none'"
AT = "2024-02-01T00:00:00Z"


FIRST = Activation(version=OLD, at=AT, kind="activate", reason="", by="unknown", forced=False)
"""How the active version became so, long ago: without an id."""


class FakeRegistry:
    """Two versions, of which `OLD` is active at first.

    Attributes
    ----------
    active : the active version; None for a registry without any.
    failure : raised by every call while it is set.
    orders : what was asked for, in order: (what, version or id or None, details).
    uploads : media type, declared size and content of what was handed over to train on.
    blocks : the customers of the last analysis.
    deadlines : those that callers of `drift` gave.
    quoting : how many records and logs of trainings quote a customer, by CUST_ID.
    erased : the customers that were to be erased from them, in order.
    meanwhile : called in the middle of an analysis.
    """

    def __init__(self) -> None:
        self.active: str | None = OLD
        self.failure: SegmentationError | None = None
        self.orders: list[tuple[str, str | None, dict[str, Any]]] = []
        self.uploads: list[tuple[str, int | None, bytes]] = []
        self.blocks: list[Block] = []
        self.deadlines: list[float | None] = []
        self.labels: dict[str, dict[str, Any]] = {}
        self.history: list[Activation] = []
        self.records: dict[str, Training] = {}
        self.quoting: dict[str, int] = {}
        self.erased: list[str] = []
        self.meanwhile = lambda: None

    def models(self) -> ModelList:
        self._use()
        items = [self._entry(NEW), self._entry(OLD)]
        before = OLD if self.active == NEW else None
        return ModelList(items=items, active=self.active, serving=self.active, rollback_to=before)

    def model(self, version: str) -> dict[str, Any]:
        return dict(described(self._known(version), self.labels))

    def gate(self, version: str) -> Gate:
        check = {"check": "stability", "passed": True, "detail": "0.990"}
        return Gate(version=self._known(version), against=self.active, passed=True, checks=[check])  # type: ignore[list-item]

    def activate(self, version: str, order: Payload, event: str | None = None) -> Activation:
        known = self._known(version)
        if known == self.active:
            return self.history[-1] if self.history else FIRST
        return self._switch(known, "activate", order, event)

    def roll_back(self, order: Payload, event: str | None = None) -> Activation:
        self._use()
        if not self.history:
            raise RegistryRefusal(409, "nothing_to_roll_back", "no version was active before this one")
        return self._switch(OLD, "rollback", order, event)

    def activations(self) -> Activations:
        self._use()
        return Activations(items=self.history[::-1])

    def label(self, segment_id: str, changes: Payload) -> Label:
        self._use()
        self.orders.append(("label", segment_id, dict(changes)))
        before, said = self.labels.get(segment_id, {}), dict(changes)
        if said.pop("if_labelled_at", before.get("changed_at")) != before.get("changed_at"):
            raise RegistryRefusal(409, "label_changed", f"The label of segment {segment_id} was changed.")
        by = said.pop("by", "unknown")
        self.labels[segment_id] = before | said | {"changed_at": AT, "changed_by": by}
        nothing = {"name": None, "description": None, "owner": None, "actions": None, "derived_name": "Low balance"}
        return nothing | self.labels[segment_id]  # type: ignore[return-value]

    def train(self, upload: Upload, query: Mapping[str, str]) -> Training:
        self._use()
        content = b"".join(upload.pieces)
        self.uploads.append((upload.media_type, upload.size, content))
        self.orders.append(("train", None, dict(query)))
        record = training(f"t{len(self.records) + 1}", len(content))
        self.records[record["id"]] = record
        return record

    def trainings(self) -> Trainings:
        self._use()
        return Trainings(items=list(self.records.values())[::-1])

    def training(self, training_id: str) -> Training:
        self._use()
        if training_id not in self.records:
            raise RegistryRefusal(404, "training_not_found", f"there is no training {training_id!r}")
        return self.records[training_id]

    def training_log(self, training_id: str) -> str:
        return f"{self.training(training_id)['id']}: größer\n"

    def cancel(self, training_id: str) -> Training:
        record = self.training(training_id)
        if record["status"] == "cancelled":
            raise RegistryRefusal(409, "training_ended", "the training has ended already")
        record["status"] = "cancelled"
        return record

    def erase_from_trainings(self, cust_id: str) -> int:
        self._use()
        self.erased.append(cust_id)
        return self.quoting.pop(cust_id, 0)

    def report(self, version: str, known: str | None, edition: Edition = "validation") -> ServedFile:
        self._known(version)
        content = None if known == ETAG else {"validation": REPORT, "marketing": MARKETING}[edition]
        return ServedFile("text/html", content, ETAG, "private", POLICY)

    def plots(self, version: str) -> Plots:
        self._known(version)
        base = f"/v1/models/{version}/plots/elbow"
        return Plots(items=[{"name": "elbow", "title": "Elbow", "svg": f"{base}.svg", "png": f"{base}.png"}])

    def plot(self, version: str, name: str, kind: Format, known: str | None) -> ServedFile:
        self._known(version)
        if name != "elbow":
            raise RegistryRefusal(404, "plot_not_found", f"there is no plot {name!r}")
        content = None if known == ETAG else SVG
        return ServedFile({"svg": "image/svg+xml", "png": "image/png"}[kind], content, ETAG, "immutable")

    def openapi_document(self, known: str | None) -> ServedFile:
        self._use()
        return ServedFile("application/json", INTERFACE)

    def draw(self, figure: Drift | Preview, kind: Format) -> ServedFile:
        self._use()
        self.orders.append(("draw", "transitions" if "transitions" in figure else "drift", {"kind": kind}))
        return ServedFile({"svg": "image/svg+xml", "png": "image/png"}[kind], SVG)

    def preview(self, version: str, blocks: Iterable[Block]) -> Preview:
        return preview(self._known(version), self.active or "", self._rows(blocks))

    def drift(self, version: str, blocks: Iterable[Block], deadline: float | None = None) -> Drift:
        self.deadlines.append(deadline)
        return drift(self._known(version), self._rows(blocks))

    def _rows(self, blocks: Iterable[Block]) -> int:
        self.blocks = list(blocks)
        self.meanwhile()
        return sum(len(next(iter(block.columns.values()))) for block in self.blocks)

    def _switch(self, version: str, kind: Any, order: Payload, event: str | None) -> Activation:
        self.orders.append((kind, version, dict(order)))
        said = {"reason": "", "by": "unknown", "force": False} | dict(order)
        activation = Activation(
            version=version,
            at=AT,
            kind=kind,
            reason=said["reason"],
            by=said["by"],
            forced=said["force"],
            id=event or f"{len(self.history):032x}",
            number=len(self.history) + 1,
            before=self.active,
        )
        self.active = version
        self.history.append(activation)
        return activation

    def _entry(self, version: str) -> ModelEntry:
        status: Any = "active" if version == self.active else "candidate"
        return ModelEntry(
            version=version, created_at=AT, status=status, k=2, rows=100, data="x", parent=None, segments=[]
        )

    def _known(self, version: str) -> str:
        self._use()
        found = self.active if version in (ACTIVE, "v1") else version
        if found is None:
            raise DOWN
        if found not in (OLD, NEW):
            raise RegistryRefusal(404, "version_not_found", f"there is no version {version!r}")
        return found

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def training(training_id: str, size: int = 0) -> Training:
    """Return the record of a training that has just been asked for."""
    return Training(
        id=training_id,
        status="queued",
        created_at=AT,
        started_at=None,
        finished_at=None,
        by="",
        note="",
        options={"k_min": 3, "k_max": 8, "seed": 0, "activate": False},
        data="upload.csv",
        bytes=size,
        progress={"phase": "waiting", "done": 0, "total": 0},
        version=None,
        activated=False,
        reason=None,
    )


def preview(candidate: str, active: str, rows: int) -> Preview:
    """Return a preview in which nobody moves."""
    segment: Any = {"id": "seg-01", "name": "Low balance", "status": "kept"}
    nothing = dict.fromkeys(["share", "balance", "balance_share", "credit_limit", "credit_limit_share"], 0.0)
    return Preview(
        candidate=candidate,
        active=active,
        rows=rows,
        as_of=AT,
        moved={"customers": 0, **nothing},  # type: ignore[typeddict-item]
        before=[segment],
        after=[segment],
        transitions=[[rows]],
        customers=[],
    )


def drift(version: str, rows: int) -> Drift:
    """Return the drift of too few customers."""
    return Drift(
        model_version=version,
        verdict="not_enough_data",
        rows=rows,
        minimum_rows=500,
        as_of=AT,
        features=[],
        segment_mix=None,
        distance=None,
        remarks=["too few"],
    )
