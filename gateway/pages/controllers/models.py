"""The model's versions, the evidence for each, and trainings of new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from flask import Response, g

from gateway.pages.rendering import page
from gateway.services.assignments.status import AssignmentsStatusService, RescoringStatus
from gateway.services.errors import ModelServiceError, RegistryRefusal
from gateway.services.models.drift_watch import DriftWatch
from gateway.services.models.registry import ModelRegistry
from gateway.services.principal import Scope
from shared.features import FEATURES
from shared.model_contract import Activation, Gate, ModelEntry, ModelList, Training

_SEGMENT: Final = re.compile(r"\bseg-\d+\b")

_STEPS: Final = (
    ("reading the data", "Reading the customers"),
    ("trying k", "Trying numbers of segments"),
    ("measuring stability", "Measuring how stable they are"),
    ("calibrating confidence", "Calibrating how sure it can be of a customer"),
    ("describing segments", "Naming and describing the segments"),
    ("drawing plots", "Drawing the pictures and the report"),
)
"""The phases of a training by how the model service begins their names, and what they do in words."""


class Step(NamedTuple):
    """A step of a training; `state` is done, now, ahead or stopped."""

    phase: str
    label: str
    state: str


class ModelPages:
    """Which versions there are, how good each is, what became of it, and how a training goes on."""

    def __init__(self, registry: ModelRegistry, drift: DriftWatch, status: AssignmentsStatusService) -> None:
        self._registry = registry
        self._drift = drift
        self._status = status

    def list(self) -> Response:
        """GET /models."""
        labels = {feature.name: feature.label for feature in FEATURES}
        known: dict[str, Any] = {"check": self._drift.latest(), "rescoring": self._rescoring(), "labels": labels}
        try:
            models, trainings = self._registry.models(), self._registry.trainings()["items"]
            history, damage = self._history()
        except ModelServiceError as error:
            return page("models.html", away=str(error), models=None, **known)
        return page(
            "models.html",
            away=None,
            models=models,
            active=_entry(models, models["active"]),
            back=_entry(models, models.get("rollback_to")),
            made={entry["version"]: entry["created_at"] for entry in models["items"]},
            now=next((each for each in history if each["version"] == models["active"]), None),
            history=history,
            damage=damage,
            trainings=trainings,
            notes={each["version"]: each["note"] for each in trainings if each["version"]},
            running=next((each for each in trainings if each["status"] in ("queued", "running")), None),
            **known,
        )

    def version(self, version: str) -> Response:
        """GET /models/{version}."""
        model, models = self._registry.model(version), self._registry.models()
        history, _ = self._history()
        name: str = model["version"]
        names = _told_apart(model["segments"], _names(models))
        in_use = name == models["active"]
        entry, parent = _entry(models, name), _entry(models, model["parent"])
        return page(
            "model.html",
            model=model,
            state=entry["status"] if entry else "candidate",
            parent=parent,
            names=names,
            history=[each for each in history if name in (each["version"], each.get("before"))],
            gate=None if in_use else _in_names(self._registry.gate(name), names),
            plots=self._plots(name),
            rescoring=self._rescoring() if in_use else None,
        )

    def training(self, training_id: str) -> Response:
        """GET /trainings/{id}."""
        training = self._registry.training(training_id)
        said = self._registry.training_log(training_id)
        return page("training.html", training=training, log=said, steps=steps(training))

    def _history(self) -> tuple[Sequence[Activation], str]:
        """Return all activations, newest first, and what is wrong with the record of them."""
        try:
            return self._registry.activations()["items"], ""
        except RegistryRefusal as refusal:
            return [], str(refusal)

    def _plots(self, version: str) -> Sequence[Mapping[str, Any]]:
        """Return the pictures of a version; the first versions have none."""
        try:
            return self._registry.plots(version)["items"]
        except RegistryRefusal as refusal:
            if refusal.code != "report_not_found":
                raise
            return []

    def _rescoring(self) -> RescoringStatus | None:
        """Return how the scoring of customers goes on, for who may know about customers."""
        return self._status.status()["rescoring"] if g.principal.may(Scope.CUSTOMERS_READ) else None


def steps(training: Training) -> list[Step]:
    """Return the steps of a training, and how far it is."""
    phase, status = training["progress"]["phase"], training["status"]
    at = next((place for place, (begins, _) in enumerate(_STEPS) if phase.startswith(begins)), 0)
    if status in ("completed", "queued"):
        at = len(_STEPS) if status == "completed" else -1
    current = "now" if status in ("queued", "running") else "stopped"
    states = ("done" if place < at else current if place == at else "ahead" for place in range(len(_STEPS)))
    return [Step(begins, label, state) for (begins, label), state in zip(_STEPS, states, strict=True)]


def _entry(models: ModelList, version: str | None) -> ModelEntry | None:
    return next((entry for entry in models["items"] if entry["version"] == version), None)


def _in_names(gate: Gate, names: Mapping[str, str]) -> Gate:
    """Put the names of segments in the place of their ids, in what the gate says."""
    for check in gate["checks"]:
        check["detail"] = _SEGMENT.sub(lambda found: names.get(found[0], found[0]), check["detail"])
    return gate


def _names(models: ModelList) -> dict[str, str]:
    """Return what the segments of all versions are called, by id."""
    return {segment["id"]: segment["name"] for entry in models["items"] for segment in entry["segments"]}


def _told_apart(segments: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> dict[str, str]:
    """Return what to call the `segments` of a version, and all others, so that none of these is taken for one of those.

    A new segment may have got the name of one that the version does not have any more.
    """
    own = {segment["id"]: segment["name"] for segment in segments}
    taken = set(own.values())
    return {identity: f"{name} (former)" if name in taken else name for identity, name in names.items()} | own
