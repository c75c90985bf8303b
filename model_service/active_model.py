"""Which model serves: loads the active version at start, follows later activations, survives a damaged one.

It also follows the segments' labels. Whoever can write the store may put an earlier state of the history in its place,
whose signatures are good; so a process refuses a history that lacks an activation which it has followed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_service.scoring.predictor import Predictor
from model_service.store.artefact import reading
from model_service.store.errors import LabelsDamaged, NoActiveModel, RegistryError
from model_service.store.files import Stamp
from model_service.store.registry import ModelStore
from shared.model_contract import ACTIVE, Activation, Label

log = logging.getLogger(__name__)

CACHED_VERSIONS = 4
"""Versions other than the active one that stay loaded after a request for them."""

CHECKS_BETWEEN_RETRIES = 10
"""How many checks pass before a version that could not be served is tried again."""


@dataclass(frozen=True, slots=True)
class Status:
    """For health: the version that serves, what is wrong with the active one, and with the segment labels."""

    version: str | None
    fallback: str | None
    labels: str | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A predictor of another version, and the state of the files it was loaded from."""

    predictor: Predictor
    stamps: object


class ActiveModel:
    """Holds the predictor that serves now. Requests take the reference once and keep it to their end.

    Parameters
    ----------
    currency : of the amounts in explanations, a code in ISO 4217; none unless given.
    """

    def __init__(self, store: ModelStore, currency: str = "") -> None:
        self._store = store
        self._currency = currency
        self._refreshing = threading.Lock()
        self._stamps: tuple[Stamp | None, ...] | None = None
        self._fallback: str | None = None
        self._labels: Mapping[str, Label] = {}
        self._labels_damage: str | None = None
        self._checks = 0
        self._others: dict[str, _Kept] = {}
        self._followed: Sequence[Activation] = []
        self.predictor: Predictor | None = None

    def serving(self) -> Predictor:
        """Return the predictor that serves now.

        Raises
        ------
        NoActiveModel
        """
        if self.predictor is None:
            raise NoActiveModel(f"No model is loaded. {self._fallback or 'Train one and activate it.'}")
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
        stamps = self._store.stamp(version)
        kept = self._others.pop(version, None)
        if kept is None or kept.stamps != stamps or kept.predictor.labels is not self._labels:
            kept = _Kept(await asyncio.to_thread(self._load, version), stamps)
        self._others = dict(
            [*self._others.items(), (version, kept)][-CACHED_VERSIONS:]
        )  # the last one used stays longest
        return kept.predictor

    @property
    def status(self) -> Status:
        """Say what serves and whether anything is wrong."""
        return Status(self.predictor.version if self.predictor else None, self._fallback, self._labels_damage)

    def refresh(self) -> None:
        """Load the active version if another was activated since the last call, and the labels if any changed.

        A version that must not be served is logged and reported in `status`; what serves now goes on serving, and
        when nothing does, the latest good version of the activation history is taken.
        """
        with self._refreshing:
            stamps = (self._store.active.stamp(), self._store.labels.stamp())
            if stamps == self._stamps and not self._due_again():
                return
            self._read_labels(changed=self._stamps is None or stamps[1] != self._stamps[1])
            self._follow_activation()
            if self.predictor and self.predictor.labels is not self._labels:
                self.predictor = Predictor(self.predictor.model, self._labels, self._currency)
            self._stamps = stamps

    def _read_labels(self, changed: bool) -> None:
        """Read the labels anew; when they are damaged, none: the derived names stand in."""
        if not changed and self._labels_damage is None:
            return
        self._labels_damage = None
        try:
            self._labels = self._store.labels.read()
        except LabelsDamaged as error:
            log.error("the segment labels in %s cannot be used: %s", self._store.directory, error)
            self._labels, self._labels_damage = {}, str(error)

    def _follow_activation(self) -> None:
        self._fallback = None
        try:
            record = self._store.active.read()
            self._refuse_earlier(record["history"])
            if record["damage"]:
                log.error("%s (in %s)", record["damage"], self._store.directory)
                self._fallback = record["damage"]
            if self.predictor is None or self.predictor.version != record["version"]:
                self._serve(record["version"])
        except RegistryError as error:
            log.error("the active model in %s cannot be served: %s", self._store.directory, error)
            self._fallback = str(error)
            self._serve_earlier()

    def _refuse_earlier(self, history: Sequence[Activation]) -> None:
        """Refuse a history that does not go on from the one followed so far.

        Raises
        ------
        SignatureRefused
        """
        last = len(self._followed)
        if history[:last] != self._followed:
            raise self._store.signer.refusal(
                f"The history of activations lacks activation {last}, which this process has followed: an earlier "
                "state of it was put in its place. If that is meant, as after a restore, restart the model service."
            )
        self._followed = history

    def _due_again(self) -> bool:
        """Whether to try the active version again: it may have been repaired, or its disk was away for a moment."""
        if self._fallback is None and self._labels_damage is None:
            return False
        self._checks += 1
        return self._checks % CHECKS_BETWEEN_RETRIES == 0

    def _serve_earlier(self) -> None:
        for version in self._store.serving_order():
            if self.predictor is not None:
                break
            try:
                self._serve(version)
            except RegistryError as error:
                log.error("an earlier model cannot be served either: %s", error)
        log.warning("serving %s instead", self.predictor.version if self.predictor else "no model")

    def _serve(self, version: str) -> None:
        self.predictor = self._load(version)
        log.info("serving model %s", version)

    def _load(self, version: str) -> Predictor:
        model = self._store.load(version)
        with reading(version):
            return Predictor(model, self._labels, self._currency)

    async def follow(self, seconds: float) -> None:
        """Refresh for ever, in a thread, so that requests are answered by the old model while the new one loads."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:  # whatever it is, the next check must still take place
                log.exception("checking for a newly activated model failed")
