"""Copies a model store while it is used.

Versions are immutable and the small files are replaced in one step, so that a copy needs no lock, only an order: the
small files first. What they name is there by then, and is copied after them; in the other order a version that was made
and activated meanwhile would be named in the copy and be missing.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from model_service.store.files import fsync
from model_service.store.registry import ACTIVE_FILE, LABELS_FILE, ModelStore

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
    return ModelStore(folder).versions()


def _copy(store: ModelStore, draft: Path) -> None:
    labels = store.directory / LABELS_FILE
    record = next((path for path in (store.active.path, store.active.copy) if path.exists()), None)
    if record is not None:
        shutil.copy(record, draft / ACTIVE_FILE)
        shutil.copy(draft / ACTIVE_FILE, draft / store.active.copy.name)
    if labels.exists():
        shutil.copy(labels, draft / LABELS_FILE)
    for version in store.versions():
        try:
            shutil.copytree(store.directory / version, draft / version)
        except (FileNotFoundError, shutil.Error):
            if (store.directory / version).exists():
                raise
            shutil.rmtree(draft / version, ignore_errors=True)  # pruned meanwhile
