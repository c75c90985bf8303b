"""What segments were last called that the active model does not have any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.services.errors import ModelServiceError, RegistryRefusal
from gateway.services.models.descriptions import ModelDescriptions
from gateway.services.models.registry import ModelRegistry

KNOWN_SECONDS: Final = 60.0
"""How long the names of earlier versions are taken to be as they were, and how long nobody asks after a failure."""
_GONE: Final = "(no longer in the model)"


class FormerNames:
    """Names of segments that are gone, from the list of versions: the model service has it, and it rarely changes."""

    def __init__(
        self, descriptions: ModelDescriptions, registry: ModelRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._descriptions = descriptions
        self._registry = registry
        self._clock = clock
        self._last: Mapping[str, str] = {}
        self._ask_again_at = 0.0

    def of(self, segments: Iterable[str]) -> Mapping[str, str]:
        """Return how to show those of the segments that the active model does not have, by id, and that it has not.

        One whose name is not known goes by its id. Where the active model's segments are not known, none is gone.

        Raises
        ------
        StoreError
        """
        wanted = set(segments)
        active = self._descriptions.names() if wanted else {}
        gone = wanted - active.keys() if active else set()
        names = self._known() if gone else {}
        return {each: f"{names.get(each, each)} {_GONE}" for each in sorted(gone)}

    def _known(self) -> Mapping[str, str]:
        if self._clock() >= self._ask_again_at:
            self._ask_again_at = self._clock() + KNOWN_SECONDS
            try:
                newest_first = self._registry.models()["items"]
            except (ModelServiceError, RegistryRefusal):
                return self._last
            self._last = {each["id"]: each["name"] for entry in reversed(newest_first) for each in entry["segments"]}
        return self._last
