"""Which model serves: loads the active version at start, follows later activations, survives a damaged one."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from model_service.predictor import Predictor
from model_service.registry import ModelStore
from model_service.registry_errors import ArtefactDamaged, NoActiveModel, RegistryError
from shared.model_contract import ACTIVE

log = logging.getLogger(__name__)

KEPT = 4
"""Versions other than the active one that stay loaded after somebody asked for them."""

LOOKS_BETWEEN_TRIES = 10
"""How many looks pass before a version that could not be served is tried again."""


@dataclass(frozen=True, slots=True)
class Status:
    """For health: the version that serves, and why it is not the active one when it is not."""

    version: str | None
    fallback: str | None


class ActiveModel:
    """Holds the predictor that serves now. Requests take the reference once and keep it to their end."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._stamp: tuple[int, int] | None = None
        self._fallback: str | None = None
        self._looks = 0
        self._others: dict[str, Predictor] = {}
        self.predictor: Predictor | None = None

    def serving(self) -> Predictor:
        """Return the predictor that serves now.

        Raises
        ------
        NoActiveModel
        """
        if self.predictor is None:
            raise NoActiveModel("no model is loaded: train and activate one")
        return self.predictor

    async def of(self, version: str | None) -> Predictor:
        """Return the predictor of a stored version (None or ``active``: the one that serves).

        Raises
        ------
        NoActiveModel, VersionNotFound, ArtefactRefused
        """
        if version is None or version == ACTIVE:
            return self.serving()
        if self.predictor is not None and self.predictor.version == version:
            return self.predictor
        if version not in self._others:
            loaded = await asyncio.to_thread(self._load, version)
            self._others = dict([*self._others.items(), (version, loaded)][-KEPT:])
        return self._others[version]

    @property
    def status(self) -> Status:
        """Say what serves and whether it is a fallback."""
        return Status(self.predictor.version if self.predictor else None, self._fallback)

    def refresh(self) -> None:
        """Load the active version if another was activated since the last call.

        A version that must not be served is logged and reported in `status`; what serves now goes on serving, and
        when nothing does, the latest good version of the activation history is taken.
        """
        stamp = self._store.active.stamp()
        if stamp == self._stamp and not self._due_again():
            return
        self._stamp = stamp
        self._fallback = None
        try:
            version = self._store.active.read()["version"]
            if self.predictor is None or self.predictor.version != version:
                self._serve(version)
        except RegistryError as error:
            log.error("the active model cannot be served: %s", error)
            self._fallback = str(error)
            self._serve_earlier()

    def _due_again(self) -> bool:
        """Whether to try the active version again: it may have been repaired, or its disk was away for a moment."""
        if self._fallback is None:
            return False
        self._looks += 1
        return self._looks % LOOKS_BETWEEN_TRIES == 0

    def _serve_earlier(self) -> None:
        for version in self._store.candidates():
            if self.predictor is not None:
                break
            try:
                self._serve(version)
            except RegistryError as error:
                log.error("nor can another: %s", error)
        log.warning("serving %s instead", self.predictor.version if self.predictor else "no model")

    def _serve(self, version: str) -> None:
        self.predictor = self._load(version)
        log.info("serving model %s", version)

    def _load(self, version: str) -> Predictor:
        model = self._store.load(version)
        try:
            return Predictor(model)
        except (LookupError, TypeError, ValueError) as error:
            raise ArtefactDamaged(f"{version}: the manifest does not describe the model ({error!r})") from error

    async def follow(self, seconds: float) -> None:
        """Refresh for ever, in a thread, so that requests are answered by the old model while the new one loads."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:  # whatever it is, the next look must still take place
                log.exception("looking for another active model failed")
