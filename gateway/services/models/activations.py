"""Putting a version of the model in force, with an entry in the audit trail."""

from __future__ import annotations

from gateway.services.audit import Auditor, Change, named
from gateway.services.models.registry import ModelRegistry, Order
from shared.model_contract import Activation


class ActivationService:
    """Decides which version of the model is active. What an order may say is for the model service to judge."""

    def __init__(self, registry: ModelRegistry, auditor: Auditor) -> None:
        self._registry = registry
        self._auditor = auditor

    def activate(self, version: str, order: Order) -> Activation:
        """Make a version the active one; ``by`` is the caller's name unless the order names somebody.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        active = self._registry.models()["active"]
        change = Change("model.activated", "model", version, active, version, named(order))
        with self._auditor.change(change, elsewhere=True) as announced:
            activation = self._registry.activate(version, self._auditor.signed(order))
            announced.became(subject=activation["version"], after=activation["version"])
            if activation["version"] == active:
                announced.refused()  # as it was before
        return activation

    def roll_back(self, order: Order) -> Activation:
        """Make the version active that was so before; ``by`` as in `activate`.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        active = self._registry.models()["active"]
        change = Change("model.rolled_back", "model", None, active, None, named(order))
        with self._auditor.change(change, elsewhere=True) as announced:
            activation = self._registry.roll_back(self._auditor.signed(order))
            announced.became(subject=activation["version"], after=activation["version"])
        return activation
