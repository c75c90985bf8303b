"""What keeps a store in order: versions that nobody needs are deleted, and all is signed anew with another key."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from model_service.store import artefact
from model_service.store.artefact import MANIFEST_FILE
from model_service.store.errors import ArtefactDamaged, NoActiveModel, RegistryError
from model_service.store.files import fsync
from model_service.store.registry import ModelStore
from model_service.store.versions import PRUNED, writable

HISTORY = "the history of activations"
LABELS = "the names of segments"
"""What is signed beside the versions, as `Outcome` calls it."""


class Outcome(NamedTuple):
    """What was done with a version, or with something else in the store; if it was not, `fault` says why."""

    what: str
    fault: str | None = None


def attempt(what: str, work: Callable[[], bool]) -> Outcome | None:
    """Do `work`, and return what came of it; None when there was nothing to do."""
    try:
        return Outcome(what) if work() else None
    except RegistryError as error:
        return Outcome(what, str(error))


def is_complete(store: ModelStore) -> bool:
    """Whether nothing in the store is without a signature, be it a good or a bad one."""
    unsigned = any(not artefact.is_signed(store.path(version)) for version in store.versions())
    return not unsigned and store.active.is_signed() and store.labels.is_signed()


def sign_anew(store: ModelStore) -> list[Outcome]:
    """Sign with the key of now whatever has a good signature, be it of the former key; nothing else.

    Raises
    ------
    TrainingRunning, StoreNotWritable
    """
    with store.training_lock(), store.writing():
        versions = [attempt(version, partial(_sign_version, store, version)) for version in store.versions()]
        return [*filter(None, (*versions, attempt(HISTORY, store.active.sign), attempt(LABELS, store.labels.sign)))]


def _sign_version(store: ModelStore, version: str) -> bool:
    directory = store.path(version)
    content = artefact.read_bytes(directory, MANIFEST_FILE)
    artefact.check_signature(directory, content, store.signer)
    artefact.sign(directory, content, store.signer)
    return True


def prunable(store: ModelStore, keep: int) -> list[str]:
    """Return the versions beyond the `keep` newest ones that nobody needs, oldest first.

    What was ever active is needed: rollbacks lead there, and the log of activations tells of it. So is the version that
    knows which segment ids were given out, as none must be given out again.

    Raises
    ------
    ArtefactDamaged
        when it cannot be read what was ever active.
    """
    try:
        needed = {entry["version"] for entry in store.active.read()["history"]}
    except NoActiveModel:
        needed = set()
    versions = store.versions()
    candidates = [version for version in versions[: max(len(versions) - keep, 0)] if version not in needed]
    if candidates:  # else there is no need to read all manifests
        needed.add(max(versions, key=lambda version: (_next_segment(store, version), version)))
    return [version for version in candidates if version not in needed]


def _next_segment(store: ModelStore, version: str) -> int:
    with contextlib.suppress(ArtefactDamaged):
        return store.manifest(version)["next_segment_number"]
    return 0


def prune(store: ModelStore, keep: int) -> list[str]:
    """Delete the versions that are `prunable`, and return their names.

    No training and no activation goes on meanwhile. A version disappears in one step (rename); what a crash leaves of
    it is removed before the next version is made.

    Raises
    ------
    TrainingRunning, StoreNotWritable, ArtefactDamaged
    """
    with store.training_lock(), writable(store.directory):
        with store.writing():
            gone = prunable(store, keep)
            hidden = [store.directory / f"{PRUNED}{version}" for version in gone]
            for version, path in zip(gone, hidden, strict=True):
                store.path(version).rename(path)
            fsync(store.directory)
        for path in hidden:
            shutil.rmtree(path)
    return gone
