"""A model service whose two versions divide the customers at different balances; it is switched over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fakes.model import FakeModel, cluster_of
from fakes.registry import NEW, FakeRegistry

from gateway.services.models.registry import Payload
from shared.contract import ACTIVE_MODEL, EXPLAIN_MOVE, PREDICT, PREDICT_BATCH, READY, ColumnarAnswer
from shared.model_contract import Activation
from support.registry_server import serving_registry
from support.scripted_server import Request, Script, ScriptedServer, serving_model

SHIFT = 400.0
"""The newer version takes each customer's balance for so much more."""
_MODEL = (ACTIVE_MODEL, EXPLAIN_MOVE, PREDICT, PREDICT_BATCH, READY)


class SwitchedRegistry(FakeRegistry):
    """Its activations are of now."""

    def _switch(self, version: str, kind: Any, order: Payload, event: str | None) -> Activation:
        activation = super()._switch(version, kind, order, event)
        activation["at"] = datetime.now(UTC).isoformat()
        return activation


class SwitchedModel(FakeModel):
    """Predicts by the version that is active in a registry."""

    def __init__(self, registry: FakeRegistry) -> None:
        super().__init__()
        self._registry = registry

    @property
    def current(self) -> str:
        """The active version."""
        return self._registry.active or ""

    @current.setter
    def current(self, version: str) -> None:
        assert version == "v1", "it is the registry's to say"

    def score(
        self, columns: Mapping[str, Sequence[float | int | None]], deadline: float | None = None
    ) -> ColumnarAnswer:
        while True:
            version = self.current
            shifted = [balance + shift_of(version) for balance in columns["BALANCE"] if balance is not None]
            answer = super().score({**columns, "BALANCE": shifted}, deadline)
            if answer["model_version"] == version:  # not switched meanwhile
                return answer

    def _prediction(self, features: Any, options: Any) -> Any:
        while True:
            version = self.current
            answer = super()._prediction({**features, "BALANCE": features["BALANCE"] + shift_of(version)}, options)
            if answer["model_version"] == version:
                return answer


def shift_of(version: str) -> float:
    """Return what a version adds to a customer's balance."""
    return SHIFT if version == NEW else 0.0


def segment_of(balance: float, version: str) -> str:
    """Return the id of the segment that a version gives a customer with this balance."""
    return ("seg-01", "seg-02")[cluster_of(balance + shift_of(version))]


def serving_both(model: FakeModel, registry: FakeRegistry) -> Script:
    """Return the script of a model service with this model and this registry."""
    predicting, managing = serving_model(model), serving_registry(registry)

    def script(server: ScriptedServer, connection: socket.socket, request: Request) -> bool:
        predicts = request.path.partition("?")[0] in _MODEL
        return (predicting if predicts else managing)(server, connection, request)

    return script
