"""Activating a version of the model and rolling back, with an entry in the audit trail."""

from __future__ import annotations

from gateway.services.audit import Auditor, Change, named
from gateway.services.models.registry import ModelRegistry, Payload
from shared.model_contract import Activation


class ActivationService:
    """Decides which version of the model is active. What a payload may say is for the model service to judge."""

    def __init__(self, registry: ModelRegistry, auditor: Auditor) -> None:
        self._registry = registry
        self._auditor = auditor

    def activate(self, version: str, payload: Payload) -> Activation:
        """Make a version the active one; ``by`` is the caller's name unless the payload has one.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        change = Change("model.activated", "model", version, self._active(), version, named(payload))
        with self._auditor.change(change, elsewhere=True) as announced:
            activation = self._registry.activate(version, self._auditor.signed(payload))
            announced.became(subject=activation["version"], after=activation["version"])
            if activation["version"] == change.before:
                announced.refused()  # as it was before
        return activation

    def roll_back(self, payload: Payload) -> Activation:
        """Make the previously active version the active one; ``by`` as in `activate`.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        change = Change("model.rolled_back", "model", None, self._active(), None, named(payload))
        with self._auditor.change(change, elsewhere=True) as announced:
            activation = self._registry.roll_back(self._auditor.signed(payload))
            # Also where it is the version that was active: another one may have been activated in between.
            announced.became(subject=activation["version"], after=activation["version"])
        return activation

    def _active(self) -> str | None:
        return self._registry.models()["active"]
