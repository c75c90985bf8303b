"""What keeps a store in order: versions nobody needs are deleted, all is signed anew with another key, and copied.

A copy is made while the store is used. Versions are immutable and the small files are replaced in one step, so that it
needs no lock, only an order: the small files first. What they name is there by then, and is copied after them; in the
other order a version that was made and activated meanwhile would be named in the copy and be missing.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from model_service.store import artefact
from model_service.store.artefact import MANIFEST_FILE
from model_service.store.errors import ArtefactDamaged, NoActiveModel, RegistryError
from model_service.store.files import fsync
from model_service.store.registry import ACTIVE_FILE, ModelStore
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


PARTIAL: Final = ".partial"
"""What stands after the folder's name until the copy in it is complete."""


def back_up(store: ModelStore, folder: Path) -> list[str]:
    """Copy a store into a new folder, for its owner's eyes alone; return the versions that are in it.

    Trainings are left out: they hold records and logs, and while one runs, customers.

    Raises
    ------
    OSError
        FileExistsError where there is such a folder already.
    """
    folder = folder.absolute()
    if folder.exists():
        raise FileExistsError(17, "is there already", str(folder))
    draft = folder.with_name(folder.name + PARTIAL)
    shutil.rmtree(draft, ignore_errors=True)  # what a dead one left
    draft.mkdir(mode=0o700)
    try:
        _copy(store, draft)
        for path in (*draft.rglob("*"), draft):
            fsync(path)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    fsync(folder.parent)
    return ModelStore(folder, store.signer).versions()


def _copy(store: ModelStore, draft: Path) -> None:
    record = next((path for path in (store.active.path, store.active.copy) if path.exists()), None)
    if record is not None:
        shutil.copy(record, draft / ACTIVE_FILE)
        shutil.copy(draft / ACTIVE_FILE, draft / store.active.copy.name)
    store.labels.copy(draft)
    for version in store.versions():
        try:
            shutil.copytree(store.directory / version, draft / version)
        except (FileNotFoundError, shutil.Error):
            if (store.directory / version).exists():
                raise
            shutil.rmtree(draft / version, ignore_errors=True)  # pruned meanwhile
