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
LEASE_MARGIN: Final = 60.0
"""How much longer than the analysis may take a worker has it for itself. One that died, or failed, delays the next."""


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """What was found at a time.

    Attributes
    ----------
    indexes : the population stability index of each feature; none where there were too few customers.
    """

    at: datetime
    model_version: str
    verdict: str
    indexes: Mapping[str, float]


class DriftChecks(Protocol):
    """Where the last check is kept. Every method may raise `StoreError`."""

    def latest(self) -> DriftCheck | None:
        """Return the last check."""

    def claim(self, version: str, age: timedelta, seconds: float) -> bool:
        """Become the one worker that checks this version, for so many seconds; return whether that is so.

        It is not while another has claimed it, nor if the last check was of this version and is younger than `age`.
        """

    def keep(self, found: Drift) -> None:
        """Keep what was found now in the place of the last check, and end the claim."""


class DriftWatch:
    """Checks the active version every so many hours, and a version that has become the active one at once.

    A duty of the worker (`gateway.worker.Duty`), beside the others: it goes over all customers. While the model service
    is away nothing is checked, and what is known stays.

    Parameters
    ----------
    hours : 0 never checks.
    longest : seconds that the analysis may take.
    """

    def __init__(
        self,
        checks: DriftChecks,
        model: Model,
        analyses: AnalysisService,
        hours: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._model = model
        self._analyses = analyses
        self._age = timedelta(hours=hours)
        self._longest = longest
        self._clock = clock
        self._look_at = 0.0

    def latest(self) -> DriftCheck | None:
        """Return what was found last.

        Raises
        ------
        StoreError
        """
        return self._checks.latest()

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
        if not self._checks.claim(version, self._age, self._longest + LEASE_MARGIN):
            return 0
        found = self._analyses.drift(version)
        self._checks.keep(found)
        log.info("drift of %d customers against model %s: %s", found["rows"], version, found["verdict"])
        return 1
