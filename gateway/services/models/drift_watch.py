"""Looking now and then whether the stored customers are still those of the training: a duty of the worker.

What was found is kept for everybody to see; who asks for it costs nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, get_args, get_type_hints

from gateway.services.models.analyses import AnalysisService
from gateway.services.models.model import Model
from shared.model_contract import Drift

log = logging.getLogger(__name__)

VERDICTS: Final[tuple[str, ...]] = get_args(get_type_hints(Drift)["verdict"])
LOOK_SECONDS: Final = 60.0
"""Between two looks whether it is time."""
GROWTH: Final = 1.1
"""How many times as many customers between two looks say that more are being loaded."""
LEASE_MARGIN: Final = 60.0
"""How much longer than the analysis may take a worker has it for itself. One that died, or failed, delays the next."""


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """What was found at a time.

    Attributes
    ----------
    indexes : the population stability index of each feature; none where there were too few customers.
    customers : how many were stored, about; 0 where a version before did not say.
    """

    at: datetime
    model_version: str
    verdict: str
    indexes: Mapping[str, float]
    customers: int = 0


class DriftChecks(Protocol):
    """Where the last check is kept. Every method may raise `StoreError`."""

    def latest(self) -> DriftCheck | None:
        """Return the last check."""

    def claim(self, version: str, age: timedelta, seconds: float) -> bool:
        """Become the one worker that checks this version, for so many seconds; return whether that is so.

        It is not while another has claimed it, nor if the last check was of this version and is younger than `age`.
        """

    def keep(self, found: Drift, customers: int = 0) -> None:
        """Keep what was found now, of so many customers, in the place of the last check, and end the claim."""


class DriftWatch:
    """Checks the active version every so many hours, and a version that has become the active one at once.

    Where there were too few customers it looks again as soon as more have come, and no more are coming fast.

    A duty of the worker (`gateway.worker.Duty`), beside the others: it goes over all customers. While the model service
    is away nothing is checked, and what is known stays.

    Parameters
    ----------
    hours : 0 never checks.
    longest : seconds that the analysis may take.
    customers : how many are stored, about, without counting them.
    """

    def __init__(
        self,
        checks: DriftChecks,
        model: Model,
        analyses: AnalysisService,
        hours: float,
        longest: float,
        customers: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._model = model
        self._analyses = analyses
        self._age = timedelta(hours=hours)
        self._longest = longest
        self._customers = customers
        self._clock = clock
        self._look_at = 0.0
        self._seen = 0

    def latest(self) -> DriftCheck | None:
        """Return what was found last; None if there were too few customers, and more are stored now.

        Raises
        ------
        StoreError
        """
        last = self._checks.latest()
        too_few = last is not None and last.verdict == "not_enough_data"
        return None if last and too_few and self._customers() > last.customers else last

    def run_once(self, heartbeat: Callable[[], None] = lambda: None) -> int:  # noqa: ARG002  # as the port has it
        """Check if it is time to; return how often that was.

        Raises
        ------
        RegistryRefusal, ModelServiceError, StoreError
        """
        if not self._age or self._clock() < self._look_at:
            return 0
        self._look_at = self._clock() + LOOK_SECONDS
        version = self._model.version()
        customers = self._customers()
        if not self._checks.claim(version, self._due_after(customers), self._longest + LEASE_MARGIN):
            return 0
        found = self._analyses.drift(version)
        self._checks.keep(found, customers)
        log.info("drift of %d customers against model %s: %s", found["rows"], version, found["verdict"])
        return 1

    def _due_after(self, customers: int) -> timedelta:
        """Return how old the last check has to be before the next, now that so many customers are stored."""
        still_coming, self._seen = customers > GROWTH * self._seen, customers
        return self._age if still_coming or self.latest() else timedelta(0)
