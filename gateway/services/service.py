"""Whether the gateway can do its work."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypedDict

from gateway.services.customers.store import CustomerStore
from gateway.services.errors import ModelServiceError
from gateway.services.models.model import Model, ModelStatus
from gateway.services.schema import Schema
from shared.features import REQUIRED_NAMES


class Health(TypedDict):
    """State of the gateway; ``model_service`` may be away while ``status`` is ok: writes do not depend on it.

    ``fallback`` and ``labels`` are those of `ModelStatus`: the model service works, but a person should look after it.
    ``schema_missing`` names the indexes and validators that the worker has still to make; lists are slower until then.
    ``features`` says where the model and the data dictionary, or the stored customers, have different features.
    """

    status: str
    database: str
    model_service: str
    model_version: str | None
    fallback: str | None
    labels: str | None
    features: str | None
    schema_missing: list[str]


SCHEMA_SECONDS = 5.0
"""How old the answer about the schema may be: asking takes several calls of the database."""


class HealthService:
    """Asks what the gateway stands on."""

    def __init__(
        self, store: CustomerStore, model: Model, schema: Schema, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._model = model
        self._schema = schema
        self._clock = clock
        self._missing: list[str] = []
        self._ask_again_at = -math.inf

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
            features=self._features(model) if model else None,
            schema_missing=self._schema_missing(),
        )

    def _schema_missing(self) -> list[str]:
        if self._clock() >= self._ask_again_at:
            self._missing = self._schema.missing()
            self._ask_again_at = self._clock() + SCHEMA_SECONDS
        return self._missing

    def _features(self, model: ModelStatus) -> str | None:
        said = []
        if model.removed:
            names = ", ".join(model.removed)
            said.append(
                f"The data dictionary has {names} no more; the model takes it as missing until a new one is trained."
            )
        required = REQUIRED_NAMES if model.required is None else model.required
        if lacked := self._store.lacked_by_due(model.version, required):
            names = ", ".join(lacked)
            said.append(
                f"Stored customers lack {names}, which the model needs; they are assigned when it has been added."
            )
        return " ".join(said) or None
