"""The description of the active model: from the model service, and while that is away, the last one that is known."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, cast

from gateway.services.clock import now
from gateway.services.errors import ModelServiceError, SegmentNotFound, StoreError
from gateway.services.models.model import Model
from gateway.services.models.registry import ModelRegistry
from shared.model_description import DescribedSegment

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 1.0
"""How long nobody asks a model service that has just failed, where a description is known."""


@dataclass(frozen=True, slots=True)
class Description:
    """A version and its segments, as the model service described them at the time ``described_at``."""

    version: str
    segments: Sequence[DescribedSegment]
    described_at: datetime

    def segment(self, segment_id: str) -> DescribedSegment:
        """Return one segment.

        Raises
        ------
        SegmentNotFound
        """
        for segment in self.segments:
            if segment["id"] == segment_id:
                return segment
        raise SegmentNotFound(segment_id)


class KeptDescriptions(Protocol):
    """Where the last known description is kept. Every method may raise `StoreError`."""

    def get(self) -> Description | None:
        """Return it."""

    def keep(self, description: Description) -> None:
        """Keep a description, unless one is there that was read later."""


class ModelDescriptions:
    """Describes the active model, also while the model service is away.

    Parameters
    ----------
    deadline, glance : seconds to wait for the model service; for names, which can be done without, the second.
    """

    def __init__(
        self,
        model: Model,
        registry: ModelRegistry,
        kept: KeptDescriptions,
        deadline: float,
        glance: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._registry = registry
        self._kept = kept
        self._deadline, self._glance = deadline, glance
        self._clock = clock
        self._ask_again_at = 0.0

    def active(self) -> Description:
        """Return the active version with its segments; what helps to read them may be missing.

        Raises
        ------
        ModelServiceError
            if no description is known.
        StoreError
        """
        return self._asked(lambda: self._summary(self._deadline))

    def in_full(self) -> Description:
        """Return the active version with all that is known of its segments.

        Raises
        ------
        RegistryRefusal, StoreError
        ModelServiceError
            if no description is known.
        """
        return self._asked(self.read)

    def known(self) -> Description | None:
        """Return the active version with its segments; None if that is not known. Waits no longer than a glance takes.

        Raises
        ------
        StoreError
        """
        try:
            return self._kept.get() if self._rests() else self._asked(lambda: self._summary(self._glance))
        except ModelServiceError:
            return None

    def names(self) -> Mapping[str, str]:
        """Return what the active version's segments are called, by id; nothing if that is not known.

        Raises
        ------
        StoreError
        """
        return names_in(self.known())

    def read(self) -> Description:
        """Read all that is known of the active version's segments from the model service.

        Raises
        ------
        RegistryRefusal, ModelServiceError
        """
        # By its name, since the model service reads that from disk: "active" may be a moment behind a change of names.
        at, version = now(), self._model.version()
        return Description(version, self._registry.model(version)["segments"], at)

    def renewed(self) -> Description:
        """Read the description, and keep it for whoever asks while the model service is away.

        If it cannot be kept, the worker does so a little later.

        Raises
        ------
        RegistryRefusal, ModelServiceError
        """
        description = self.read()
        try:
            self._kept.keep(description)
        except StoreError as error:
            log.warning("the description of the active model was not kept: %s", error)
        return description

    def last_known(self) -> Description | None:
        """Return the description that is kept, without asking the model service.

        Raises
        ------
        StoreError
        """
        return self._kept.get()

    def _summary(self, deadline: float) -> Description:
        at, model = now(), self._model.active(deadline)
        return Description(model["version"], cast(Sequence[DescribedSegment], model["segments"]), at)

    def _rests(self) -> bool:
        """Whether the model service has just failed, so that nobody asks it who can do without."""
        return self._clock() < self._ask_again_at

    def _asked(self, ask: Callable[[], Description]) -> Description:
        if self._rests() and (kept := self._kept.get()):
            return kept
        try:
            if self._ask_again_at:
                self._ask_again_at = self._clock() + PAUSE_SECONDS  # one asks; the others take what is known
            description = ask()
        except ModelServiceError:
            self._ask_again_at = self._clock() + PAUSE_SECONDS
            if kept := self._kept.get():
                return kept
            raise
        self._ask_again_at = 0.0
        return description


def names_in(known: Description | None) -> Mapping[str, str]:
    """Return what a version's segments are called, by id; nothing where none is known."""
    return {segment["id"]: segment["name"] for segment in known.segments} if known else {}
