"""Making versions: complete or not at all, one at a time."""

from __future__ import annotations

import errno
import os
import threading

import joblib
import pytest
from registry_changes import copy_version, only_version

from model_service.active_model import ActiveModel
from model_service.store import artefact, files
from model_service.store.artefact import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE
from model_service.store.errors import StoreNotWritable, TrainingRunning
from model_service.store.registry import ModelStore
from model_service.training.fitted import save as save_version

FILES = [SIGNATURE_FILE, MANIFEST_FILE, MODEL_FILE]


def contents(store):
    return sorted(p.name for p in store.directory.iterdir() if not p.name.endswith(".lock"))


def save(store, draw=None):
    version = store.versions()[0]
    return save_version(store, joblib.load(store.directory / version / MODEL_FILE), store.manifest(version), draw)


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_is_drawn_appears_with_the_version(store):
    seen = []

    def draw(folder, manifest):
        seen.append(manifest["version"])
        assert sorted(p.name for p in folder.iterdir()) == FILES
        assert manifest["model_sha256"]
        assert manifest["version"] not in store.versions()
        (folder / "plots").mkdir()
        (folder / "plots" / "elbow.svg").write_text("<svg/>")

    version = save(store, draw)
    assert seen == [version]
    assert (store.path(version) / "plots" / "elbow.svg").read_text() == "<svg/>"
    assert store.load(version).version == version


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_drawing_fails(store, error):
    def draw(folder, manifest):
        (folder / "report.html").write_text("half")
        raise error("no")

    before = contents(store)
    with pytest.raises(error):
        save(store, draw)
    assert contents(store) == before


@pytest.mark.parametrize("where", ["model", "draw", "fsync"])
def test_a_full_disk_is_said_and_the_active_model_goes_on_serving(store, monkeypatch, where):
    before, active = contents(store), ActiveModel(store)
    active.refresh()
    if where == "model":
        monkeypatch.setattr(artefact, "write", no_space)
    elif where == "fsync":
        monkeypatch.setattr("model_service.store.versions.fsync", no_space)
    with pytest.raises(StoreNotWritable, match="No space left"):
        save(store, no_space if where == "draw" else None)
    assert contents(store) == before
    active.refresh()
    assert (active.predictor.version, active.status.fallback) == (store.versions()[0], None)


def test_a_read_only_store_refuses_every_change_and_serves(store, monkeypatch):
    """Simulated, because the tests may run as a user for whom no file is read-only."""
    second, real = copy_version(store), os.open

    def read_only(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(files.os, "open", read_only)
    for change in (lambda: save(store), lambda: store.activate(second), store.rollback):
        with pytest.raises(StoreNotWritable, match="Read-only"):
            change()
    active = ActiveModel(store)
    active.refresh()
    assert active.status.fallback is None
    assert active.predictor.version == store.versions()[0]


def test_a_store_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreNotWritable), ModelStore(tmp_path / "file" / "models").training_lock():
        pass


def test_one_training_at_a_time(store):
    other = ModelStore(store.directory)
    with store.training_lock():
        for attempt in (lambda: other.training_lock().__enter__(), lambda: save(other)):
            with pytest.raises(TrainingRunning):
                attempt()
        store.activate(save(store), "who trains may save, and anybody may activate")
    save(other)


def test_another_thread_of_the_same_process_has_to_wait_too(store):
    refused = []

    def attempt():
        try:
            save(store)
        except TrainingRunning as error:
            refused.append(error)

    with store.training_lock():
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_the_lock_is_free_after_a_failure(store):
    with pytest.raises(RuntimeError), store.training_lock():
        raise RuntimeError
    with store.training_lock(), store.training_lock():
        pass
    save(ModelStore(store.directory))


def test_an_error_of_the_training_itself_stays_what_it_is(store):
    with pytest.raises(FileNotFoundError), store.training_lock():
        raise FileNotFoundError("the customers' file")


def test_what_a_dead_training_left_is_removed(store):
    draft = store.directory / ".writing-abc"
    draft.mkdir()
    (draft / MODEL_FILE).write_bytes(b"half")
    assert store.versions() == [only_version(store)]
    with store.training_lock():
        assert not draft.exists()
