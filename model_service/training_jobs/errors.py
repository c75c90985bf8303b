"""What may be said about a training that was asked for."""

from __future__ import annotations

from model_service.registry_errors import RegistryError


class TrainingNotFound(RegistryError):
    """No training with this id is on record."""


class TrainingEnded(RegistryError):
    """The training cannot be cancelled any more."""
