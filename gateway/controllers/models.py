"""The models resource: versions of the model and which of them is active."""

from __future__ import annotations

from flask import Response

from gateway.controllers.exchange import answer, read_order
from gateway.services.activations import ActivationService
from gateway.services.registry_ports import ModelRegistry


class ModelController:
    """Read what there is, and put another version in force.

    What an order may say is for the model service to judge; its refusals come back with their pointers.
    """

    def __init__(self, registry: ModelRegistry, activations: ActivationService) -> None:
        self._registry = registry
        self._activations = activations

    def list(self) -> Response:
        """GET /models."""
        return answer(self._registry.models())

    def get(self, version: str) -> Response:
        """GET /models/{version}."""
        return answer(self._registry.model(version))

    def gate(self, version: str) -> Response:
        """GET /models/{version}/gate."""
        return answer(self._registry.gate(version))

    def activate(self, version: str) -> Response:
        """POST /models/{version}/activate."""
        return answer(self._activations.activate(version, read_order()))

    def roll_back(self) -> Response:
        """POST /models/rollback."""
        return answer(self._activations.roll_back(read_order()))

    def activations(self) -> Response:
        """GET /activations."""
        return answer(self._registry.activations())
