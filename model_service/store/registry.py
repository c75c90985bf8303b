"""The model store: immutable versions, and small files that say which is active and what people call the segments.

::

    <store>/<version>/model.joblib     the fitted pipeline, pickled; nothing that serves opens it
    <store>/<version>/manifest.json    everything else (`model_service.store.manifest.Manifest`)
    <store>/<version>/manifest.hmac    its signature (`model_service.store.signatures`)
    <store>/<version>/...              report and plots
    <store>/active.json                the active version and the history of activations; active.copy.json is its copy
    <store>/labels.json, labels.hmac   people's names for segments, and their signature
    <store>/.lock, .training.lock      locked by who activates or labels, and by who trains
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from model_service.settings import Settings
from model_service.store.active_file import UNKNOWN, ActiveFile, activation_now, rollback_now, undo_stack
from model_service.store.artefact import reading
from model_service.store.errors import (
    ArtefactDamaged,
    ArtefactRefused,
    GateRefused,
    NoActiveModel,
    NothingToRollBack,
    ReasonRequired,
    VersionNotFound,
)
from model_service.store.files import exclusive
from model_service.store.gate import judge
from model_service.store.labels import LabelFile
from model_service.store.manifest import Manifest
from model_service.store.signatures import IN_DEVELOPMENT, Signer
from model_service.store.versions import Versions, writable
from shared.model_contract import ACTIVE, Activation, Gate, GateCheck

ACTIVE_FILE = "active.json"
LABELS_FILE = "labels.json"


class ModelStore(Versions):
    """The versions in `directory`, which of them is active, and what people call their segments."""

    def __init__(self, directory: Path, signer: Signer = IN_DEVELOPMENT) -> None:
        super().__init__(directory, signer)
        self.active = ActiveFile(directory / ACTIVE_FILE, signer)
        self.labels = LabelFile(directory / LABELS_FILE, signer)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one who activates or labels, over all processes, for a moment.

        Raises
        ------
        StoreNotWritable
        """
        with writable(self.directory), exclusive(self.directory / ".lock"):
            yield

    def serving_order(self) -> list[str]:
        """Versions in the order in which they should serve.

        The active one, those to which rollbacks would lead, and those that were rolled back; never one that was not
        active.
        """
        try:
            history = self.active.read()["history"]
        except (NoActiveModel, ArtefactDamaged):
            return []
        return list(dict.fromkeys([*reversed(undo_stack(history)), *(entry["version"] for entry in reversed(history))]))

    def resolve(self, version: str) -> str:
        """Return the version that `version` stands for: ``active`` for the active one, any other for itself.

        Raises
        ------
        NoActiveModel, ArtefactDamaged
        """
        return self.active.read()["version"] if version == ACTIVE else version

    def gate(self, version: str) -> Gate:
        """Say whether a version (or ``active``) may replace the active one now.

        Raises
        ------
        VersionNotFound; NoActiveModel and ArtefactDamaged for ``active`` alone
        """
        version, against = self.resolve(version), self._in_force()
        checks: list[GateCheck] = []
        try:
            manifest = self.load(version).manifest
            checks = self._judge(manifest, against)
            artefact_check = GateCheck(
                check="artefact", passed=True, detail="the files are intact, compatible and correctly compiled"
            )
        except ArtefactRefused as error:
            artefact_check = GateCheck(check="artefact", passed=False, detail=str(error))
        checks = [artefact_check, *checks]
        return Gate(
            version=version,
            against=against["version"] if against else None,
            passed=all(check["passed"] for check in checks),
            checks=checks,
        )

    def _in_force(self) -> Manifest | None:
        """Return the manifest of the active version or, when it is damaged, of the one that serves in its place."""
        candidates = self.serving_order()
        for version in candidates:
            with contextlib.suppress(VersionNotFound, ArtefactRefused):
                return self.load(version).manifest
        for version in candidates:  # none can serve, but segments can be compared
            with contextlib.suppress(VersionNotFound, ArtefactDamaged):
                return self.manifest(version)
        return None

    def _judge(self, manifest: Manifest, against: Manifest | None) -> list[GateCheck]:
        try:
            with reading(manifest["version"]):
                return judge(manifest, against, self.labels.usable())
        except ArtefactDamaged as error:  # a check that fails, so that force helps when it is the active one's fault
            detail = f"cannot be compared with {against['version'] if against else 'nothing'}: {error}"
            return [GateCheck(check="artefact", passed=False, detail=detail)]

    def activate(
        self, version: str, reason: str = "", by: str = UNKNOWN, force: bool = False, event: str | None = None
    ) -> Activation:
        """Make `version` the active one, after proving that it can be served and is no worse than the one before.

        Nothing happens when it is active already, as the one called ``active`` is: the answer is then how it became
        so. With `force` it may be worse, if a reason is given. `event` is the id in the history.

        Raises
        ------
        VersionNotFound, NoActiveModel, ArtefactRefused, GateRefused, ReasonRequired, StoreNotWritable
        """
        if force and not reason.strip():
            raise ReasonRequired
        version = self.resolve(version)
        manifest = self.load(version).manifest
        with self.writing():
            self.path(version)  # it may have been pruned meanwhile
            entry = self._current()
            if entry and entry["version"] == version:
                return entry
            failed = [check for check in self._judge(manifest, self._in_force()) if not check["passed"]]
            if failed and not force:
                raise GateRefused(version, failed)
            entry = activation_now(version, reason, by, bool(failed), event)
            self.active.append(entry)
        return entry

    def _current(self) -> Activation | None:
        """Return the activation of the active version, unless there is none or the record needs to be repaired."""
        try:
            record = self.active.read()
        except NoActiveModel:
            return None
        return None if record["damage"] else record["history"][-1]

    def rollback(self, reason: str = "", by: str = UNKNOWN, event: str | None = None) -> Activation:
        """Make the version active that was so before the active one; a second time, the one before that.

        `event` is the id in the history.

        Raises
        ------
        NothingToRollBack, ArtefactRefused, StoreNotWritable
        """
        with self.writing():
            version = self._before_active()
            try:
                self.load(version)
            except (VersionNotFound, ArtefactRefused) as error:
                kind = ArtefactDamaged if isinstance(error, VersionNotFound) else type(error)
                raise kind(f"A rollback would lead to version {version}, which cannot be served: {error}") from error
            entry = rollback_now(version, reason, by, event)
            self.active.append(entry)
        return entry

    def _before_active(self) -> str:
        try:
            stack = undo_stack(self.active.read()["history"])
        except NoActiveModel:
            stack = []
        if len(stack) < 2:
            raise NothingToRollBack("No version was active before this one.")
        return stack[-2]


def open_store(settings: Settings, directory: Path | None = None) -> ModelStore:
    """Return the model store of the settings, or that in `directory`, with the key of the settings."""
    signer = Signer(settings.model_signing_key, settings.model_signing_key_old)
    return ModelStore(directory or settings.model_store, signer)
