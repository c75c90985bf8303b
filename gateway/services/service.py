"""Whether the gateway can do its work."""

from __future__ import annotations

from typing import TypedDict

from gateway.services.customers.store import CustomerStore
from gateway.services.errors import ModelServiceError
from gateway.services.models.model import Model


class Health(TypedDict):
    """State of the gateway; ``model_service`` may be away while ``status`` is ok: writes do not depend on it.

    ``fallback`` and ``labels`` are those of `ModelStatus`: the model service works, but a person should look after it.
    """

    status: str
    database: str
    model_service: str
    model_version: str | None
    fallback: str | None
    labels: str | None


class HealthService:
    """Asks what the gateway stands on."""

    def __init__(self, store: CustomerStore, model: Model) -> None:
        self._store = store
        self._model = model

    def check(self) -> Health:
        """Return the state of everything the gateway needs.

        Raises
        ------
        StoreUnavailable
            when the database cannot take writes: the gateway is not ready then.
        """
        self._store.ping()
        try:
            model, said = self._model.status(), "ok"
        except ModelServiceError as error:
            model, said = None, str(error)
        return Health(
            status="ok",
            database="ok",
            model_service=said,
            model_version=model.version if model else None,
            fallback=model.fallback if model else None,
            labels=model.labels if model else None,
        )
