"""The last check for drift in memory; `contracts.drift` holds it to the port."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.services.clock import now
from gateway.services.models.drift_watch import DriftCheck
from shared.model_contract import Drift


class InMemoryDriftChecks:
    """The `DriftChecks` of a test."""

    def __init__(self) -> None:
        self._last: DriftCheck | None = None
        self._until = datetime.min

    def latest(self) -> DriftCheck | None:
        return self._last

    def claim(self, version: str, age: timedelta, seconds: float) -> bool:
        last = self._last
        if self._until > now() or (last and last.model_version == version and last.at > now() - age):
            return False
        self._until = now() + timedelta(seconds=seconds)
        return True

    def keep(self, found: Drift, customers: int = 0) -> None:
        indexes = {each["feature"]: each["psi"] for each in found["features"]}
        self._last = DriftCheck(now(), found["model_version"], found["verdict"], indexes, customers)
        self._until = now()
